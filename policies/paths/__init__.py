"""Paths through the backbone: demand, trees of paths and their placement, disjoint paths, capacity check.

Entry point: `placement.place`. `placed_trees` has its result type. May import `policies.plan` and `topology`; only
`demand` and `capacity_check` import `policies.language`.
"""
