"""Generators of probe packets, one module for each kind: contracts, forgeries, unusual shapes."""
