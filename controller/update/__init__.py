"""When which switch gets which rules: the reconciler and what it is made of. Pure: no threads, sockets or clocks.

Entry point: `reconciler.Reconciler`.
"""
