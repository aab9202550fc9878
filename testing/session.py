"""What the plugin keeps for a session and for a test."""

from __future__ import annotations

from typing import Any

import pytest

from helsewan.testing.leaks import Surroundings
from helsewan.testing.networks import Networks

NETWORKS = pytest.StashKey[Networks]()
SURROUNDINGS = pytest.StashKey[Surroundings]()  # of the sandbox, before the first network
OUTER_PID = pytest.StashKey[int]()  # this process's, as seen from outside of the sandbox
LEAKS = pytest.StashKey[list[str]]()

USED = pytest.StashKey[Any]()  # of a test: the network it uses (`Wan`)
FAILED = pytest.StashKey[bool]()  # of a test: whether it failed
CAPTURES = pytest.StashKey[list[Any]]()  # of a test: files that it captured
EARLIER_VOID = pytest.StashKey[list[str]]()  # of a test: why earlier attempts were void
