"""The machine: worlds, nodes, links and switches."""
