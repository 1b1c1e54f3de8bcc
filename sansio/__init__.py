"""Atrium: the core of a WebRTC media server, without I/O."""
