"""Repair in comparison: one ring of routers by this project, by FRRouting and by a spanning tree, and the gap of
each."""
