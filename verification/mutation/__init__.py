"""Mutation testing of isolation: rules and policies with one fault each, and who notices.

Entry point: `trial`.
"""
