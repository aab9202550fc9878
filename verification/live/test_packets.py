"""The probe packets that are sent through the rules and through the running network. Deterministic for a seed.

Each is one frame that a site sends. The frame carries a mark by which it is recognised wherever it arrives.
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
from helsewan.verification.live.generators.draft import Draft, Group, Scene

_MAGIC = b"helsewan"
_SEED_BITS, _NUMBER_BYTES = 32, 4
_ADDRESSES_BYTES = 12  # of Ethernet's header: what stands before a tag


@dataclass(frozen=True)
class ProbePacket:
    """``site`` sends ``frame`` on its access line number ``line``: what becomes of it? ``packet`` is what the line's
    router reads in it, but for the tag that a trunk puts on; ``says`` is the policy's word."""

    number: int
    group: Group
    name: str
    site: str
    line: int
    frame: bytes
    packet: Packet
    says: Expected
    about: tuple[int, ...] = ()


def probe_packets(plan: Plan, fabric: Fabric, seed: int, most: int | None = None) -> tuple[ProbePacket, ...]:
    """The questions on a plan in the order in which they are asked: controls, all others in a lot's order, controls
    again. ``fabric`` holds the rules they are put to: labels are forged from them. ``most`` bounds those between,
    evenly over their kinds; None asks all."""
    scene = Scene(plan, fabric, Random(seed))
    drafts = list(_chosen(scene, most))
    scene.chance.shuffle(drafts)
    controls = list(contracts.controls(scene))
    intent, asked = Intent(plan), [*controls, *drafts, *controls]
    return tuple(_question(number, draft, plan.network, intent, seed) for number, draft in enumerate(asked))


def mark_of(seed: int) -> bytes:
    """What all marks of a seed begin with; a question's number follows."""
    return _MAGIC + (seed % (1 << _SEED_BITS)).to_bytes(_SEED_BITS // 8, "big")


def number_in(frame: bytes, mark: bytes) -> int | None:
    """The number of the question whose mark is in a frame, or in what a frame quotes; None where there is none."""
    at = frame.find(mark)
    end = at + len(mark) + _NUMBER_BYTES
    return int.from_bytes(frame[end - _NUMBER_BYTES : end], "big") if at >= 0 and end <= len(frame) else None


def _chosen(scene: Scene, most: int | None) -> Iterator[Draft]:
    """The drafts but for controls; with a bound, the kinds take turns until there are so many."""
    kinds: list[Iterable[Draft]] = [
        contracts.pairs(scene),
        contracts.contracts(scene),
        contracts.scanning(scene),
        forgeries.sources(scene),
        forgeries.labels(scene),
        forgeries.vlans(scene),
        forgeries.neighbours(scene),
        shapes.fragments(scene),
        shapes.hops(scene),
        shapes.extensions(scene),
    ]
    if most is None:
        yield from chain.from_iterable(kinds)
        return
    drawn = [list(kind) for kind in kinds]
    for kind in drawn:
        scene.chance.shuffle(kind)
    turns = (draft for turn in zip_longest(*drawn) for draft in turn if draft is not None)
    yield from (draft for draft, _ in zip(turns, range(most), strict=False))


def _question(number: int, draft: Draft, network: Network, intent: Intent, seed: int) -> ProbePacket:
    frame = draft.frame(mark_of(seed) + number.to_bytes(_NUMBER_BYTES, "big"))
    packet = _seen(network, draft.site, draft.line, frame)
    says = intent.of(draft.site, packet)
    return ProbePacket(number, draft.group, draft.name, draft.site, draft.line, frame, packet, says, draft.about)


def _seen(network: Network, site: str, line: int, frame: bytes) -> Packet:
    """What a line's router reads in a frame. On a trunk it has the line's tag; one of its own hides the rest."""
    access = network.site[site].accesses[line]
    if (site, line) in network.access_link_ports[access.router]:
        return read(frame)
    tag = VLAN.to_bytes(2, "big") + access.vlan.to_bytes(2, "big")
    packet = read(frame[:_ADDRESSES_BYTES] + tag + frame[_ADDRESSES_BYTES:])
    assert packet.fields["vlan_vid"] == access.vlan | VLAN_PRESENT
    return Packet({name: value for name, value in packet.fields.items() if name != "vlan_vid"}, packet.labels)
