"""Links between nodes: the model, the backends' common interface, the link engine with its counters and captures.

Entry points: `pipe_model` (the model of one direction) and `link_backend` (the interface of all backends).
"""
