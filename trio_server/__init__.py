"""The Trio driver: sockets, WebSockets and clocks around `sansio.Node`. It never looks inside a packet."""
