"""Reads a switch's entries in slices.

A switch replies from the thread that forwards packets, which takes some 2.5 us a flow and delays packets meanwhile. So
flows are requested in slices of a fraction of a millisecond each, selected by cookie, one request at a time.

Pure: bytes in and out, no socket.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from typing import Any

from helsewan.controller.framework import ofproto_v1_3
from helsewan.controller.openflow.decoder import Decoder
from helsewan.controller.openflow.entries import RuleSet

_of: Any = ofproto_v1_3

_SLICES = 16  # selected by the low bits of the cookie, which number the entries of one purpose
_HEADER, _MULTIPART = struct.Struct("!BBHI"), struct.Struct("!HH4x")
# table, out port, out group, cookie and its mask, then an empty match (OpenFlow 1.3.5, 7.3.5.2)
_FLOWS = struct.Struct("!B3xII4xQQHH4x")
_ALL_METERS = struct.pack("!I4x", _of.OFPM_ALL)


def count_request(xid: int) -> bytes:
    """A message that requests the number of flows, which costs a switch a tenth of listing them."""
    return _request(xid, _of.OFPMP_AGGREGATE, _flows(0, 0))


def flows_request(xid: int, cookie: int, mask: int) -> bytes:
    """A message that requests the flows whose cookie equals ``cookie`` under ``mask``, with their counters."""
    return _request(xid, _of.OFPMP_FLOW, _flows(cookie, mask))


def ports_request(xid: int) -> bytes:
    """A message that requests a switch's ports and their state."""
    return _request(xid, _of.OFPMP_PORT_DESC, b"")


class TableReader:
    """Reads the entries of a switch once: groups and meters, then flows. A switch without groups is new and has few
    flows, so these are read in one request."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._requests = deque([(_of.OFPMP_GROUP_DESC, b""), (_of.OFPMP_METER_CONFIG, _ALL_METERS)])
        self._bodies = {kind: bytearray() for kind in (_of.OFPMP_GROUP_DESC, _of.OFPMP_METER_CONFIG, _of.OFPMP_FLOW)}
        self._pending_kind, self._flows_queued = 0, False

    def next_request(self, xid: int) -> bytes | None:
        """The next message for the switch; None if all replies have been received."""
        if not self._flows_queued and not self._requests:
            self._flows_queued = True
            slices = _SLICES if self._bodies[_of.OFPMP_GROUP_DESC] else 1
            self._requests.extend((_of.OFPMP_FLOW, each) for each in _sliced(slices))
        if not self._requests:
            return None
        self._pending_kind, body = self._requests.popleft()
        return _request(xid, self._pending_kind, body)

    def take(self, body: bytes) -> None:
        """Adds one part of the reply to the last request."""
        self._bodies[self._pending_kind].extend(body)

    def rule_set(self) -> RuleSet:
        """The entries of the switch. Raises ValueError, IndexError or struct.error if they cannot be decoded."""
        kinds = (_of.OFPMP_METER_CONFIG, _of.OFPMP_GROUP_DESC, _of.OFPMP_FLOW)
        meters, groups, flows = (bytes(self._bodies[kind]) for kind in kinds)
        decoder = self._decoder
        return RuleSet(tuple(decoder.meters(meters)), tuple(decoder.groups(groups)), tuple(decoder.flows(flows)))


def _sliced(slices: int) -> Iterator[bytes]:
    return (_flows(number, slices - 1) for number in range(slices))


def _flows(cookie: int, mask: int) -> bytes:
    return _FLOWS.pack(_of.OFPTT_ALL, _of.OFPP_ANY, _of.OFPG_ANY, cookie, mask, _of.OFPMT_OXM, 4)


def _request(xid: int, kind: int, body: bytes) -> bytes:
    size = _HEADER.size + _MULTIPART.size + len(body)
    return _HEADER.pack(_of.OFP_VERSION, _of.OFPT_MULTIPART_REQUEST, size, xid) + _MULTIPART.pack(kind, 0) + body
