"""Routers as Mininet switches: a private Open vSwitch each, its ports, and the network that manages them.

Entry point: `switches.RouterSwitch`.
"""
