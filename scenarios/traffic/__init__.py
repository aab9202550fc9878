"""The traffic of a scenario: which sites send what to which and when, and the load on the machine.

Entry point: `flows.plan_traffic`. Of `scenarios` it imports `spec` only.
"""
