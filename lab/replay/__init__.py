"""Replays captures on a running network: as packets between passive ends (`wire_replay`), or as conversations over
sockets (`payload_replay`), each replay in a process of its own.

Entry point: `replay_engine.ReplayEngine`. Of `lab` it imports `captures` and `flows`.
"""
