"""The timeline of a scenario: its events and phases, when they happen, and what each does to the network.

Entry points: `schema`, `problems` and `targets`. Of `scenarios` it imports `spec.values` and
`spec.schema` only.
"""
