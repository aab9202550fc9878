"""Runs of one scenario again and again: campaigns by seed, random faults, comparison, and the smallest failing form.

Entry points: `campaign.run_scenario`, `comparison.compare`, `shrink.shrink`. `random_faults`,
`delta_debugging` and `reduction` are pure. May import all of `scenarios`.
"""
