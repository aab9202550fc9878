"""Whether the machine ran the emulation in real time: recorded every second, assessed at the end.

Entry points: `health_monitor` (records) and `validity` (assesses).
"""
