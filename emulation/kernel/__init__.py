"""The kernel dataplane: links as queueing disciplines between veth pairs.

Entry point: `backend`.
"""
