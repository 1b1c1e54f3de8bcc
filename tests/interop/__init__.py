"""Real clients of other projects in rooms of a real server, all on loopback."""
