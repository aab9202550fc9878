"""Probe packets and sessions for a running network: their predicted outcomes, and the answers of the network beside
them.

Entry points: `test_packets.probe_packets`, `sessions.sessions`, `outcome` and `live_report`.
"""
