"""Follows a scenario's timeline: does every event when it is due or its condition holds, and undoes what it did.

Entry point: `timeline.Timeline`. Imports no other module of `run` but `job` and `rule_reader`.
"""
