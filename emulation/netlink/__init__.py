"""The kernel's network interfaces: rtnetlink messages, batches of them, traffic control, Mininet's interfaces."""
