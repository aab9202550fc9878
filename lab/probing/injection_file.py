"""What a client writes into the file of an injection request, and what it finds there at the end: JSON, each way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, astuple
from typing import Any

from helsewan.lab.probing.packet_injector import Heard, Injected, Sending
from helsewan.lab.probing.session_prober import Call


def encode_sendings(sendings: Sequence[Sending]) -> bytes:
    """The frames to send: rows of site, number of the access link, frame (hex), time (us)."""
    return json.dumps([(each.site, each.line, each.frame.hex(), each.at_us) for each in sendings]).encode()


def encode_calls(calls: Sequence[Call]) -> bytes:
    """The sessions to open: a row of its fields for each call."""
    return json.dumps([astuple(call) for call in calls]).encode()


def encode_injected(injected: Injected) -> bytes:
    """The outcome of an injection."""
    heard = [(each.site, each.frame.hex()) for each in injected.heard]
    return json.dumps(asdict(injected) | {"heard": heard}).encode()


def decode_injected(data: bytes) -> Injected:
    """The inverse of `encode_injected`."""
    fields: dict[str, Any] = json.loads(data)
    heard = tuple(Heard(site, bytes.fromhex(frame)) for site, frame in fields["heard"])
    return Injected(**fields | {"heard": heard})
