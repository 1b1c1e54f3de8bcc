"""The driver of `atrium load-test`: sockets, WebSockets and tables around `sansio.load`."""
