"""The national network, up in a world of its own, for tests that only look at it or mend what they break."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rig_client import RigClient


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RigClient]:
    """A running national network; one for each module of tests."""
    client = RigClient(tmp_path_factory.mktemp("rig"))
    yield client
    client.close()
