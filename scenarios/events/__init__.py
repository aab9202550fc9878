"""What events of a timeline do to the running network, how that is undone, and the conditions that they wait for.

Entry points: `actions` and `conditions`, and `live_figures` for whoever follows figures while the run goes on. Of
`scenarios` it imports `spec` only.
"""
