"""The traffic of a scenario: who sends what to whom and when.

Entry point: `flows.plan_traffic`.
"""
