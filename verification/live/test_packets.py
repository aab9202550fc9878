"""The probe packets that are sent through the rules and through the running network. Deterministic for a seed.

Each is one frame that a site sends. It carries a unique mark, by which it is recognised wherever it is received.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from random import Random

from helsewan.controller.openflow.entries import VLAN
from helsewan.controller.openflow.pipeline import VLAN_PRESENT
from helsewan.policies.plan import Plan
from helsewan.topology.model import Network
from helsewan.verification.concrete.fabric import Fabric
from helsewan.verification.concrete.frames import read
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.expected.expected import Expected, Intent
from helsewan.verification.live.generators import contracts, forgeries, shapes
from helsewan.verification.live.generators.draft import Draft, DraftContext, ProbeKind

_MAGIC = b"helsewan"
_SEED_BITS, _NUMBER_BYTES = 32, 4
_ADDRESSES_BYTES = 12  # of the Ethernet header, in front of a tag


@dataclass(frozen=True)
class ProbePacket:
    """``site`` sends ``frame`` on its access link number ``line``. ``packet`` are the fields that the link's router
    parses in it, without the trunk's tag; ``expected`` is what the policy expects; ``subject_ids`` are as in
    `Draft`."""

    number: int
    kind: ProbeKind
    name: str
    site: str
    line: int
    frame: bytes
    packet: Packet
    expected: Expected
    subject_ids: tuple[int, ...] = ()


def probe_packets(plan: Plan, fabric: Fabric, seed: int, most: int | None = None) -> tuple[ProbePacket, ...]:
    """The probe packets for a plan in the order in which they are sent: controls, all others in random order, controls
    again. ``fabric`` has the rules under test: labels are forged from them. ``most`` limits the others, evenly over
    their kinds; None means all."""
    context = DraftContext(plan, fabric, Random(seed))
    drafts = list(_sampled_drafts(context, most))
    context.rng.shuffle(drafts)
    controls = list(contracts.controls(context))
    intent, ordered = Intent(plan), [*controls, *drafts, *controls]
    return tuple(_probe_packet(number, draft, plan.network, intent, seed) for number, draft in enumerate(ordered))


def mark_of(seed: int) -> bytes:
    """The prefix of all marks of a seed; the number of the probe follows."""
    return _MAGIC + (seed % (1 << _SEED_BITS)).to_bytes(_SEED_BITS // 8, "big")


def number_in(frame: bytes, mark: bytes) -> int | None:
    """The number of the probe whose mark is in a frame, also in a quoted one (ICMP errors); None if there is none."""
    at = frame.find(mark)
    end = at + len(mark) + _NUMBER_BYTES
    return int.from_bytes(frame[end - _NUMBER_BYTES : end], "big") if at >= 0 and end <= len(frame) else None


def _sampled_drafts(context: DraftContext, most: int | None) -> Iterator[Draft]:
    """All drafts except controls; with a bound, ``most`` of them, round robin over the kinds."""
    kinds: list[Iterable[Draft]] = [
        contracts.pairs(context),
        contracts.contracts(context),
        contracts.scanning(context),
        forgeries.sources(context),
        forgeries.labels(context),
        forgeries.vlans(context),
        forgeries.neighbours(context),
        shapes.fragments(context),
        shapes.hops(context),
        shapes.extensions(context),
    ]
    if most is None:
        yield from chain.from_iterable(kinds)
        return
    shuffled = [list(kind) for kind in kinds]
    for kind in shuffled:
        context.rng.shuffle(kind)
    turns = (draft for turn in zip_longest(*shuffled) for draft in turn if draft is not None)
    yield from (draft for draft, _ in zip(turns, range(most), strict=False))


def _probe_packet(number: int, draft: Draft, network: Network, intent: Intent, seed: int) -> ProbePacket:
    frame = draft.frame(mark_of(seed) + number.to_bytes(_NUMBER_BYTES, "big"))
    packet = _parsed_at_router(network, draft.site, draft.line, frame)
    expected = intent.of(draft.site, packet)
    return ProbePacket(
        number, draft.kind, draft.name, draft.site, draft.line, frame, packet, expected, draft.subject_ids
    )


def _parsed_at_router(network: Network, site: str, line: int, frame: bytes) -> Packet:
    """The fields that the router of an access link parses in a frame, without the trunk's own tag. On a trunk the frame
    is tagged, so that a tag of the site's hides what is behind it."""
    access = network.site[site].accesses[line]
    if (site, line) in network.access_link_ports[access.router]:
        return read(frame)
    tag = VLAN.to_bytes(2, "big") + access.vlan.to_bytes(2, "big")
    packet = read(frame[:_ADDRESSES_BYTES] + tag + frame[_ADDRESSES_BYTES:])
    assert packet.fields["vlan_vid"] == access.vlan | VLAN_PRESENT
    return Packet({name: value for name, value in packet.fields.items() if name != "vlan_vid"}, packet.labels)
