"""What the checks of a scenario may say: metrics, limits, and what a check may not combine.

Entry points: `schema` and `problems`. Of `scenarios` it imports the rest of `spec` only.
"""
