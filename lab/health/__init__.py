"""Whether the machine kept up: recorded every second, judged at the end.

Entry points: `health_monitor` (records) and `validity` (judges).
"""
