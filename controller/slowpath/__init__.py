"""The routers' slow path: one process that sends ICMP and ICMPv6 errors for all routers.

Entry point: `main`. `icmp_responder` decides whether and how to respond, `icmp` and `icmp6` encode the messages.
"""
