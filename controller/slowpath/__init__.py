"""What routers answer by themselves: ICMP and ICMPv6 errors, by one process beside all routers.

Entry point: `main`. `icmp_responder` decides, `icmp` and `icmp6` build the messages.
"""
