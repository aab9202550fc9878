"""The backbone as a graph: least-delay paths and what failures leave of them; independent paths between places."""
