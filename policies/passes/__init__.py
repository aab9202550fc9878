"""The compiler's passes. Each takes what those before it made and returns a fresh frozen value.

Entry point: `helsewan.policies.compile` runs them in order.
"""
