"""The seeds of a scenario's repetitions, derived from its own. Pure."""

from __future__ import annotations

from hashlib import blake2b

from helsewan.topology.model import MOST_SEED


def derived_seed(seed: int, number: int, purpose: str = "run") -> int:
    """The seed of repetition ``number`` (from 1); the first run has the scenario's own, so that a campaign begins with
    the run that a single one would be. Others have nothing in common with it, whatever the number of runs."""
    if number == 1 and purpose == "run":
        return seed
    digest = blake2b(f"{seed}/{purpose}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % (MOST_SEED + 1)
