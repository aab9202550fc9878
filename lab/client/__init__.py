"""Clients of a standing network: where it is found, and how it is spoken to.

Entry point: `client.Client`.
"""
