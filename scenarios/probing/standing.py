"""Questions for a network that stands: played there, asked and judged here."""

from __future__ import annotations

import os
from collections.abc import Sequence

from policies.plan import Plan
from scenarios.probing.player import Played, Sending
from scenarios.probing.verify_live import Player, verify_live
from scenarios.standing.client import Client
from scenarios.standing.play import heard_in, written
from verification.agreement import LiveReport
from verification.dump import Dump


def verify_standing(name: str | None, dump: Dump, plan: Plan, seed: int, most: int | None = None) -> LiveReport:
    """Ask network ``name``, or the only one that stands, what ``plan`` means it to do; ``dump`` is what its switches
    hold. Raises NetworkRefused and NetworkGone."""
    return verify_live(plan, dump.rules, player_of(name), seed, most, dump.down)


def player_of(name: str | None) -> Player:
    """Has a standing network play frames."""

    def player(sendings: Sequence[Sending], mark: bytes, listen_s: float) -> Played:
        file = os.memfd_create("helsewan-questions")
        with open(file, "r+b") as questions, Client(name) as client:
            questions.write(written(sendings))
            questions.flush()
            client.run("play", (file,), mark=mark.hex(), listen_s=listen_s)
            questions.seek(0)
            return heard_in(questions.read())

    return player
