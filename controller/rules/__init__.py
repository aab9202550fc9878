"""Compiles a plan and the current failures into each router's flow, group and meter entries. Pure.

Entry point: `generation`. `access_rules` generates the entries for sites, `label_rules` those of the MPLS core.
"""
