"""Planned datagram flows: their sender and receiver, a C loop over sockets in the sites.

Entry points: `flowspec` (what is planned) and `flow_engine`.
"""
