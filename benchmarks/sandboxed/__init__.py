"""What benchmarks run in a sandbox of its own: programs that print their figures as JSON.

Entry point: `launch.in_sandbox`, which runs one of them from outside.
"""
