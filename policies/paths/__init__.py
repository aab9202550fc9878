"""Paths through the backbone: demand, placement on links, disjoint paths, and whether there is capacity."""
