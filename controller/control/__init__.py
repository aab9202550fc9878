"""The controller's connections: sessions of switches, TLS, limits, leadership, and the local control API.

Entry points: `session` (one switch), `control_server` (the northbound server's socket).
"""
