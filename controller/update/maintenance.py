"""The links and PoPs that are out of service, stored in a file beside the plan, for a controller that restarts."""

from __future__ import annotations

import json
from pathlib import Path

from helsewan.common.errors import InputError, Problem

FILE = "withdrawn.json"


def read_withdrawn(path: Path) -> frozenset[str]:
    """The places (ids of links and PoPs) listed in a file; none where it does not exist. Raises InputError where its
    contents are no list of names."""
    try:
        places = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return frozenset()
    except ValueError:
        places = None
    if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
        raise InputError(Problem("withdrawn", str(path), "is no list of links and PoPs", "remove it"))
    return frozenset(places)


def file_contents(places: frozenset[str]) -> bytes:
    """The file that lists these places (JSON)."""
    return json.dumps(sorted(places)).encode()
