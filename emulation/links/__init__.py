"""Links between nodes: the model, the backends' common interface, the link engine and what it counts and captures.

Entry points: `pipe_model` (the model of one direction) and `link_backend` (what all backends have in common).
"""
