"""The server of `helsewan up`: the process outside the sandbox, the worker inside, and the operations for clients.

Entry points: `up` (outside the sandbox) and `worker` (inside).
"""
