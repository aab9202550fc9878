"""A witness's packet, sent on a running network from the site that its witness names."""

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
from helsewan.common.screen import Screen
from helsewan.verification.concrete.frames import read
from helsewan.verification.concrete.packet import Label, Packet
from helsewan.verification.reports.witness import in_words, scapy_packet

MOST_BYTES = 4_000_000
LISTEN_S = 2.0  # more than the longest way
_MAGIC, _LOT_BYTES = b"helsewan", 8  # what the frame is known by wherever it comes out


def _number(value: object) -> object:
    """Numbers beyond 53 bits are hex."""
    return int(value, 16) if isinstance(value, str) and value.startswith("0x") else value


Number = Annotated[int, BeforeValidator(_number), Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class _Label(_Part):
    label: Annotated[int, Field(ge=0, lt=1 << 20)]
    tc: Annotated[int, Field(ge=0, lt=8)]
    ttl: Annotated[int, Field(ge=0, lt=256)]


class _Packet(_Part):
    fields: dict[str, Number]
    labels: list[_Label]


class _From(_Part):
    site: str
    line: Annotated[int, Field(ge=0, le=1)]


class _Way(_Part):
    end: str
    site: str | None


class Witness(_Part):
    """What a replay needs of a witness: ``way`` is what the rules did to the packet."""

    format: Literal["helsewan-witness/1"]
    """what the file is"""
    kind: str
    says: str
    sender: Annotated[_From, Field(alias="from")]
    """who sends the packet"""
    packet: _Packet
    """what is sent"""
    way: _Way
    """what became of it by the rules"""

    @property
    def arrives_at(self) -> frozenset[str]:
        """Where the rules took it."""
        return frozenset({self.way.site} if self.way.end == "delivered" and self.way.site else ())


def read_witness(path: Path) -> Witness:
    """The witness in a file that ``--witness`` wrote. Raises InputError."""
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
    """Where a witness's packet came out, and as what."""

    witness: Witness
    arrivals: tuple[tuple[str, Packet], ...]

    @property
    def is_as_told(self) -> bool:
        """Whether the network did what the witness says the rules do."""
        return frozenset(site for site, _ in self.arrivals) == self.witness.arrives_at


def frame_of(witness: Witness, mark: bytes) -> bytes:
    """The frame that the site sends; with ``mark`` for payload, as long as the witness's was if that says."""
    packet = Packet(dict(witness.packet.fields), tuple(Label(x.label, x.tc, x.ttl) for x in witness.packet.labels))
    frame = bytes(scapy_packet(packet, mark))
    spare = packet.fields.get("frame_bytes", 0) - len(frame)
    return bytes(scapy_packet(packet, mark + bytes(spare))) if spare > 0 else frame


def replay(witness: Witness, name: str | None) -> Replayed:
    """Send the packet on network ``name``, or the only one that stands, and hear where it comes out. Raises
    NetworkRefused and NetworkGone."""
    from helsewan.lab.probing.lab_prober import LabProber
    from helsewan.lab.probing.packet_injector import Sending

    mark = _MAGIC + secrets.token_bytes(_LOT_BYTES)
    sender, packet = witness.sender, witness.packet
    played = LabProber(name).inject([Sending(sender.site, sender.line, frame_of(witness, mark), 0)], mark, LISTEN_S)
    heard = {(each.site, read(each.frame)) for each in played.heard}
    # An answer quotes the mark. At the site that sent the packet, what comes from another is one.
    arrived = (each for each in heard if each[0] != sender.site or _source(each[1].fields) == _source(packet.fields))
    return Replayed(witness, tuple(sorted(arrived, key=lambda each: each[0])))


def _source(fields: Mapping[str, int]) -> int | None:
    """Who sent a packet, by its own words."""
    return next((fields[name] for name in ("ipv4_src", "ipv6_src", "arp_spa") if name in fields), None)


def print_replay(replayed: Replayed) -> None:
    """What became of it, for people."""
    witness, screen = replayed.witness, Screen()
    lines = [f"{witness.kind}: {witness.says}", f"sent by {witness.sender.site} on wan{witness.sender.line}"]
    lines += [f"arrives at {site}: {in_words(packet)}" for site, packet in replayed.arrivals]
    lines += [] if replayed.arrivals else [f"arrives nowhere within {LISTEN_S:g} s"]
    lines.append("as the witness says" if replayed.is_as_told else "not as the witness says")
    for line in lines:
        screen.print(line, markup=False, soft_wrap=True)
