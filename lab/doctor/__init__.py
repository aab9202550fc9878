"""`helsewan doctor`: what this machine can carry, has and lacks.

Entry point: `doctor`.
"""
