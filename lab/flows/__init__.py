"""Planned datagram flows: their sender and receiver, a C loop over sockets in the sites.

Entry points: `flowspec` (planned traffic) and `flow_engine`.
"""
