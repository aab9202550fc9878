"""One run: the outer half, the sandbox's worker, the timeline.

Entry points: `launcher` (outside the sandbox), `worker` (inside) and `run`.
"""
