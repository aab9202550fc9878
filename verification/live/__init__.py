"""Questions for a running network: test packets and sessions, and their answers beside those of the rules.

Entry points: `test_packets.questions` and `live_report`.
"""
