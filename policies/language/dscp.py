"""DiffServ code points by name.

Class selectors are RFC 2474 (4.2.2), assured forwarding RFC 2597 (6), expedited forwarding RFC 3246,
lower effort RFC 8622.
"""

from __future__ import annotations

from helsewan.policies.language.refusal import Refusal

MAX_DSCP = 63

_NAMES: dict[str, int] = {
    "BE": 0,
    "DF": 0,
    "LE": 1,
    "EF": 46,
    **{f"CS{n}": 8 * n for n in range(8)},
    **{f"AF{cls}{drop}": 8 * cls + 2 * drop for cls in range(1, 5) for drop in range(1, 4)},
}


def parse_dscp(value: object) -> int:
    """A code point from its name (``EF``, ``AF41``, ``CS6``, ``BE``) or number 0..63; raises ``Refusal`` if neither."""
    if isinstance(value, str) and value.upper() in _NAMES:
        return _NAMES[value.upper()]
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_DSCP:
        return value
    raise Refusal("is no DSCP", "write EF, BE, CS0..CS7, AF11..AF43 or a number 0..63")


def dscp_name(dscp: int) -> str:
    """The usual name of a code point, or its number if it has none."""
    return next((name for name, number in _NAMES.items() if number == dscp), str(dscp))
