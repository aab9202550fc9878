"""Two tests that each measure in a world of their own, at the same time where two workers run them.

``test_side_by_side.py`` runs this file, alone and with pytest-xdist; HELSEWAN_MEET names the directory where the
worlds leave their figures and HELSEWAN_WORLDS how many must be up before one measures.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from national_pairs import far_pair
from testbed_client import TestbedClient
from waiting import wait_for

MEET = Path(os.environ["HELSEWAN_MEET"])
WORLDS = int(os.environ["HELSEWAN_WORLDS"])
DEADLINE_S = 120.0
DATAGRAMS = 100  # two seconds of voice


@pytest.mark.parametrize("world", range(WORLDS))
def test_far_hospitals_talk(world: int, tmp_path: Path) -> None:
    """A call through the whole country, and what it would be to hear the other world's."""
    a, b = far_pair()
    testbed = TestbedClient(tmp_path)
    try:
        (MEET / f"up-{world}").touch()
        wait_for(lambda: len(list(MEET.glob("up-*"))) == WORLDS, "the other world to come up", DEADLINE_S)
        (heard,) = testbed.ask("stream", pairs=[(a.id, b.id)], datagrams=DATAGRAMS)
        interfaces = testbed.ask("command", site=a.id, line="cat /proc/net/dev")
        (MEET / f"figures-{world}.json").write_text(json.dumps(heard | {"interfaces": interfaces.count(":")}))
        # nobody leaves while another measures
        wait_for(lambda: len(list(MEET.glob("figures-*"))) == WORLDS, "the other world to measure", DEADLINE_S)
    finally:
        testbed.close()
