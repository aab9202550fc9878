"""Policies beside each other and beside a network: textual changes, semantic differences, explanations."""
