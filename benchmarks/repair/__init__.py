"""Comparison of repair: the same ring of routers run by this project, by FRRouting and by a spanning tree, and the gap
of each."""
