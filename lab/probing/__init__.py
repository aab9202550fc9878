"""Test packets and sessions on a running network.

Entry points: `verify_live`, with `local_prober` (this process's network) or `lab_prober` (a standing one).
"""
