"""Replays a witness: sends its packet on a running lab from the site that the witness names."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from helsewan.common.document import Document, read_bytes
from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import explain
from helsewan.common.terminal.screen import Screen
from helsewan.verification.concrete.frames import read
from helsewan.verification.concrete.packet import Label, Packet
from helsewan.verification.reports.witness import in_words, scapy_packet

MOST_BYTES = 4_000_000
LISTEN_S = 2.0  # longer than any path's delay
_MAGIC, _RANDOM_BYTES = b"helsewan", 8  # payload by which the frame is recognised at all sites


def _number(value: object) -> object:
    """Integers beyond 53 bits are written in hex."""
    return int(value, 16) if isinstance(value, str) and value.startswith("0x") else value


Number = Annotated[int, BeforeValidator(_number), Field(ge=0)]


class _Object(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class _Label(_Object):
    label: Annotated[int, Field(ge=0, lt=1 << 20)]
    tc: Annotated[int, Field(ge=0, lt=8)]
    ttl: Annotated[int, Field(ge=0, lt=256)]


class _Packet(_Object):
    fields: dict[str, Number]
    labels: list[_Label]


class _Sender(_Object):
    site: str
    line: Annotated[int, Field(ge=0, le=1)]


class _Trace(_Object):
    end: str
    site: str | None


class Witness(_Object):
    """The fields of a witness file that a replay uses; ``way`` is the packet's trace through the rules."""

    format: Literal["helsewan-witness/1"]
    """format and version of the file"""
    kind: str
    says: str
    sender: Annotated[_Sender, Field(alias="from")]
    """site and access link that send the packet"""
    packet: _Packet
    """the packet that is sent"""
    way: _Trace
    """end of the packet's trace through the rules"""

    @property
    def arrives_at(self) -> frozenset[str]:
        """The site that the rules deliver it to, if any."""
        return frozenset({self.way.site} if self.way.end == "delivered" and self.way.site else ())


def read_witness(path: Path) -> Witness:
    """Read a witness file written by ``--witness``. Raises InputError."""
    raw = read_bytes(path, MOST_BYTES)
    try:
        data: Any = json.loads(raw)
    except (ValueError, RecursionError):
        hint = "name the .json file that `helsewan verify --witness` wrote"
        raise InputError(Problem("--replay", str(path), "is no witness", hint)) from None
    try:
        return Witness.model_validate(data)
    except ValidationError as error:
        document = Document(str(path), data)
        raise InputError(*(explain(document, Witness, each) for each in error.errors(include_url=False))) from None


@dataclass(frozen=True)
class Replayed:
    """The sites at which a witness's packet arrived, and the packets received."""

    witness: Witness
    arrivals: tuple[tuple[str, Packet], ...]

    @property
    def matches(self) -> bool:
        """Whether the packet arrived at the sites that the witness predicts."""
        return frozenset(site for site, _ in self.arrivals) == self.witness.arrives_at


def frame_of(witness: Witness, mark: bytes) -> bytes:
    """The frame to send, with ``mark`` as payload, padded to the length of the witness's packet if that is known."""
    packet = Packet(dict(witness.packet.fields), tuple(Label(x.label, x.tc, x.ttl) for x in witness.packet.labels))
    frame = bytes(scapy_packet(packet, mark))
    padding = packet.fields.get("frame_bytes", 0) - len(frame)
    return bytes(scapy_packet(packet, mark + bytes(padding))) if padding > 0 else frame


def replay(witness: Witness, name: str | None) -> Replayed:
    """Send the packet on the running lab ``name``, or the only one, and record where it arrives. Raises NetworkRefused
    and NetworkGone."""
    from helsewan.lab.probing.lab_prober import LabProber
    from helsewan.lab.probing.packet_injector import ScheduledFrame

    mark = _MAGIC + secrets.token_bytes(_RANDOM_BYTES)
    sender, packet = witness.sender, witness.packet
    frame = ScheduledFrame(sender.site, sender.line, frame_of(witness, mark), 0)
    result = LabProber(name).inject([frame], mark, LISTEN_S)
    received = {(each.site, read(each.frame)) for each in result.received}
    # ICMP errors quote the mark. At the sending site, packets from another source are such replies.
    arrived = (each for each in received if each[0] != sender.site or _source(each[1].fields) == _source(packet.fields))
    return Replayed(witness, tuple(sorted(arrived, key=lambda each: each[0])))


def _source(fields: Mapping[str, int]) -> int | None:
    """The source address in a packet."""
    return next((fields[name] for name in ("ipv4_src", "ipv6_src", "arp_spa") if name in fields), None)


def print_replay(replayed: Replayed) -> None:
    """Print where the packet arrived."""
    witness, screen = replayed.witness, Screen()
    lines = [f"{witness.kind}: {witness.says}", f"sent by {witness.sender.site} on wan{witness.sender.line}"]
    lines += [f"arrives at {site}: {in_words(packet)}" for site, packet in replayed.arrivals]
    lines += [] if replayed.arrivals else [f"arrives nowhere within {LISTEN_S:g} s"]
    lines.append("as the witness predicts" if replayed.matches else "not as the witness predicts")
    for line in lines:
        screen.print(line, markup=False, soft_wrap=True)
