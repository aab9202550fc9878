"""What this machine adds to delays and what it can carry.

Entry points: `calibration` (delay) and `capacity`.
"""
