"""Encoding of the file of an injection or session request, and of the outcome that replaces its content: JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, astuple
from typing import Any

from helsewan.lab.probing.packet_injector import InjectionResult, ReceivedFrame, ScheduledFrame
from helsewan.lab.probing.session_prober import SessionSpec


def encode_frames(frames: Sequence[ScheduledFrame]) -> bytes:
    """The frames to send: rows of site, number of the access link, frame (hex), time (us)."""
    return json.dumps([(each.site, each.access_link, each.frame.hex(), each.at_us) for each in frames]).encode()


def encode_sessions(sessions: Sequence[SessionSpec]) -> bytes:
    """The sessions to open: for each, a row of its fields."""
    return json.dumps([astuple(session) for session in sessions]).encode()


def encode_result(result: InjectionResult) -> bytes:
    """The outcome of an injection."""
    received = [(each.site, each.frame.hex()) for each in result.received]
    return json.dumps(asdict(result) | {"received": received}).encode()


def decode_result(data: bytes) -> InjectionResult:
    """The inverse of `encode_result`."""
    fields: dict[str, Any] = json.loads(data)
    received = tuple(ReceivedFrame(site, bytes.fromhex(frame)) for site, frame in fields["received"])
    return InjectionResult(**fields | {"received": received})
