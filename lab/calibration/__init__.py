"""Measures the delay that this machine adds, and the load that it can carry.

Entry points: `calibration` (delay) and `capacity`.
"""
