"""Programs that benchmarks run in a sandbox; each prints its figures as JSON.

Entry point: `launch.in_sandbox`, which starts one of them from outside.
"""
