"""The owner of every process of a running lab: notices what is dead, stalled or late, restarts what is safe to restart,
and keeps how the network ended.

Entry points: `supervisor` (inside the sandbox) and `last_network` (outside).
"""
