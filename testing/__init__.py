"""Emulated links and networks under pytest: the plugin that the distribution registers, and helpers for tests.

Entry points: `plugin` (options, markers, fixtures), and for tests and scripts `eventually`, `stays_true_for` and the
assertions. docs/pytest.md is its manual.

May import every package but `cli`. pytest loads the plugin in every session of whoever has the distribution installed,
so what is not needed without a network is loaded late.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from helsewan.testing.waiting import eventually, stays_true_for

if TYPE_CHECKING:
    from helsewan.testing.assertions import (
        assert_class_guarantee,
        assert_delay,
        assert_failover,
        assert_isolated,
        assert_loss,
        assert_reachable,
    )

__all__ = [
    "assert_class_guarantee",
    "assert_delay",
    "assert_failover",
    "assert_isolated",
    "assert_loss",
    "assert_reachable",
    "eventually",
    "stays_true_for",
]


def __getattr__(name: str) -> Any:
    """An assertion, loaded with the emulator when it is first named."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.assertions"), name)
