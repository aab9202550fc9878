"""A verification: selects the rules, and verifies them statically or by probes of a running lab.

Entry point: `verification`.
"""
