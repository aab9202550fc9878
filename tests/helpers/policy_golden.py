"""Golden texts of the policy tests; HELSEWAN_UPDATE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

from helsewan.common.document import loads
from helsewan.policies.language.source import Policy, read_policy

GOLDEN = Path(__file__).parents[1] / "golden" / "policy"


def check(name: str, text: str) -> None:
    """Assert that ``text`` is what the golden file ``name`` holds."""
    path = GOLDEN / name
    if os.environ.get("HELSEWAN_UPDATE_GOLDEN") == "1":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def policy(text: str, name: str = "policy.yaml") -> Policy:
    """The policy in a YAML text."""
    return read_policy(loads(text.encode(), name))


def small_policy() -> Policy:
    """The policy that the compile passes are shown on."""
    return policy((GOLDEN / "small.yaml").read_text(encoding="utf-8"), "small.yaml")
