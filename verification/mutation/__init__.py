"""Mutation testing of isolation: rules and policies with one fault each, and which verifier detects them.

Entry point: `trial`.
"""
