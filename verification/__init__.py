"""Proof of isolation: what a network's rules do to every packet, beside what the policy says of it."""
