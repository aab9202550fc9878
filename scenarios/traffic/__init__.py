"""The traffic of a scenario: which sites send what to which and when, and what that asks of the machine.

Entry points: `flows.plan_traffic` (pure) and `transactions.ExchangeEngine`, which sends requests over TCP. Of
`scenarios` it imports `spec` only.
"""
