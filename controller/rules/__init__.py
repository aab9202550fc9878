"""Plan and state of the network to each router's rules. Pure.

Entry point: `generation`. `access_rules` is the side of the sites, `label_rules` that of the core.
"""
