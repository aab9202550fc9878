"""Mininet's network and command line on this project's nodes.

Entry points: `build` (a network as a `Mininet`) and `cli`.
"""
