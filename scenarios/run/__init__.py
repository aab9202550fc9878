"""One run of a scenario: the process outside the sandbox, the first process inside, the timeline, the proofs.

Entry points: `launcher` (outside the sandbox), `worker` (inside) and `run`. May import all of `scenarios`.
"""
