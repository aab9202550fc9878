"""What each switch does by itself, beside forwarding between sites: its answers to hosts, what it sends to the
controller, entries that expire, and its ports.

Entry point: `switch_state.faults`.
"""
