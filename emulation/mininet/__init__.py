"""Mininet's network and command line on our nodes.

Entry points: `build` (a network as a `Mininet`) and `cli`.
"""
