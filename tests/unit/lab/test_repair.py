"""When a network counts as repaired, by the state that its controller reports."""

from __future__ import annotations

from typing import Any

import pytest

from helsewan.lab.links.repair import is_repaired

UP = {"connected": True, "programmed": True}
OFF = {"connected": False, "programmed": False}


def state(phase: str = "steady", down: tuple[str, ...] = (), **routers: dict[str, bool]) -> dict[str, Any]:
    return {"phase": phase, "links_down": list(down), "routers": {"a": UP, "b": UP, **routers}}


@pytest.mark.parametrize(
    ("reported", "unusable", "unreachable", "expected"),
    [
        (state(), (), (), True),
        (state("changing"), (), (), False),
        (state("settling"), (), (), False),
        (state(), ("ab",), (), False),  # not noticed yet
        (state(down=("ab",)), ("ab",), (), True),
        (state(down=("ab",)), (), (), False),  # mended, but its session is not up again
        (state(c=OFF, down=("bc",)), ("bc",), ("c",), True),
        (state(c=UP), (), ("c",), False),  # a partition that is not noticed yet
        (state(c=OFF), (), (), False),  # back, but not connected
        (state(c={"connected": True, "programmed": False}), (), (), False),
    ],
)
def test_a_network_is_repaired_when_nothing_is_left_to_react_to(
    reported: dict[str, Any], unusable: tuple[str, ...], unreachable: tuple[str, ...], expected: bool
) -> None:
    assert is_repaired(reported, frozenset(unusable), frozenset(unreachable)) is expected
