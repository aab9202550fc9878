"""Protocols over TCP as state machines: bytes in, bytes out, no I/O. `end` has what they have in common."""
