"""The traffic of a scenario: which sites send what to which and when, and the load on the machine.

Entry points: `flows.plan_traffic` (pure) and `transactions.ExchangeEngine`, which sends requests over TCP. Of
`scenarios` it imports `spec` only.
"""
