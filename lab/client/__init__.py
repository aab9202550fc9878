"""Clients of a running lab: the registry of labs, the protocol, and the client.

Entry point: `client.Client`.
"""
