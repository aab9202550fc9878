"""Test packets and sessions on a running lab.

Entry points: `verify_live`, with `local_prober` (a testbed in this process) or `lab_prober` (a running lab).
"""
