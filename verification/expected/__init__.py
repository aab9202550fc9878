"""What a policy expects of packets: of one packet, of all packets, and as an explanation for two sites.

Entry points: `expected.Expected` (one packet) and `expected_sets` (all).
"""
