"""Probe packets and sessions for a running network: their predicted outcomes beside those that the network shows.

Entry points: `test_packets.probe_packets`, `sessions.sessions`, `outcome` and `live_report`.
"""
