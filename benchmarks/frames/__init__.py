"""Frames at rates that sockets do not reach: packet rings shared with the kernel (packet_mmap), and TAP devices."""
