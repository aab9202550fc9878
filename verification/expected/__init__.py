"""What a policy says becomes of packets: of one packet, of all, and in words for two sites.

Entry points: `expected.Expected` (one packet) and `expected_sets` (all).
"""
