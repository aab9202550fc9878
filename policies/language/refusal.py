"""Why a single value of a policy file is refused, in the shape that the schema's error report reads."""

from __future__ import annotations


class Refusal(ValueError):
    """A value that cannot stand where it does: ``reason`` says why, ``hint`` what to write instead."""

    def __init__(self, reason: str, hint: str) -> None:
        self.reason = reason
        self.hint = hint
        super().__init__(f"{reason} (hint: {hint})")
