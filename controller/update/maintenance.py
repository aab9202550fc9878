"""The links and PoPs that are out of service, stored in a file beside the plan, for a controller that restarts."""

from __future__ import annotations

import json
from pathlib import Path

from helsewan.common.errors import InputError, Problem

FILE = "withdrawn.json"


def read_withdrawn(path: Path) -> frozenset[str]:
    """The places of a file; none where there is none. Raises InputError for what is no such file."""
    try:
        places = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return frozenset()
    except ValueError:
        places = None
    if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
        raise InputError(Problem("withdrawn", str(path), "holds no list of places", "remove it"))
    return frozenset(places)


def written(places: frozenset[str]) -> bytes:
    """What such a file holds."""
    return json.dumps(sorted(places)).encode()
