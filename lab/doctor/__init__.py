"""`helsewan doctor`: this machine's capacity and prerequisites.

Entry point: `doctor`.
"""
