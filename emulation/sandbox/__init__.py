"""The namespaces of one run, what the machine must offer for them, and what it says of processor time.

Entry point: `sandbox`.
"""
