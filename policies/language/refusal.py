"""The exception for an invalid value in a policy file; the schema's error report reads its reason and hint."""

from __future__ import annotations


class Refusal(ValueError):
    """An invalid value: ``reason`` says why, ``hint`` what to write instead."""

    def __init__(self, reason: str, hint: str) -> None:
        self.reason = reason
        self.hint = hint
        super().__init__(f"{reason} (hint: {hint})")
