"""The server of `helsewan up`: outer half, the sandbox's worker, and what clients may ask.

Entry points: `up` (outside the sandbox) and `worker` (inside).
"""
