"""The compiler's passes. Each takes the results of earlier passes and returns a new frozen value.

Entry point: `helsewan.policies.compile` runs them in order.
"""
