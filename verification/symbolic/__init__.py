"""All packets at once: sets of headers as decision diagrams, and what rules do to them.

Entry points: `program` (rules made ready) and `symbolic_executor`.
"""
