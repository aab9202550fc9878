"""Sets of packets as decision diagrams (CUDD, by `dd`): what a site may send, and what becomes of it.

A packet is the bits of its header fields as it was sent; fields that no packet has at once share bits. Beside them
stand two results: ``out``, where the packet ends (a number), and ``mark``, its DSCP when it has got its class. A
network is then one relation between what is sent and what comes of it, and equal relations are the same node.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dd import cudd

from helsewan.controller.openflow.entries import ARP, IPV4, IPV6, MPLS
from helsewan.controller.openflow.pipeline import VLAN_PRESENT
from helsewan.topology.model import Prefix
from helsewan.verification.concrete.packet import Label, Packet

Set = Any  # a node of the diagram: dd has no types

SENT_LABELS = 3  # of a packet, that a switch sees (Open vSwitch's FLOW_MAX_MPLS_LABELS)
FIRST_FRAGMENT, ANY_FRAGMENT = 1, 0b01  # of ip_frag: bit 0 is a fragment, bit 1 a later one
_MEMORY_BYTES = 4 << 30  # an upper bound to what CUDD plans with, not what it takes
_CACHE_ENTRIES = 1 << 22

# In the order of the diagram. Addresses come first, the end of the way behind the destination that decides it, so that
# a set grows with sites and not with pairs of them; what few rules look at is at the bottom.
_WIDTHS = {
    "eth_type": 16,
    "vlan_vid": 13,
    "source": 128,
    "destination": 128,
    "out": 16,
    "ip_frag": 2,
    "ip_proto": 8,
    "tp_src": 16,
    "tp_dst": 16,
    "tcp_flags": 12,
    "icmp_type": 8,
    "icmp_code": 8,
    "ip_dscp": 6,
    "mark": 6,
    "frame_bytes": 16,
    "arp_op": 16,
    "nd_target": 128,
    "inner_type": 16,
    **{f"{name}{place}": bits for place in range(SENT_LABELS) for name, bits in (("label", 20), ("tc", 3))},
    "labels": 2,
    "eth_src": 48,
    "eth_dst": 48,
}
TCP, UDP, ICMP4, ICMP6 = 6, 17, 1, 58


@dataclass(frozen=True, slots=True)
class _Field:
    """Where a header field is stored: the bits of ``part``, from the first on, and the condition for a packet to have
    it."""

    part: str
    bits: int
    types: tuple[int, ...] = ()  # EtherTypes, any of which
    protocol: int | None = None
    blank: bool = False  # zero in fragments (OFPC_FRAG_NORMAL)


_IP = (IPV4, IPV6)
_FIELDS = {
    "eth_type": _Field("eth_type", 16),
    "vlan_vid": _Field("vlan_vid", 13),
    "eth_src": _Field("eth_src", 48),
    "eth_dst": _Field("eth_dst", 48),
    "ipv4_src": _Field("source", 32, (IPV4,)),
    "ipv4_dst": _Field("destination", 32, (IPV4,)),
    "ipv6_src": _Field("source", 128, (IPV6,)),
    "ipv6_dst": _Field("destination", 128, (IPV6,)),
    "arp_spa": _Field("source", 32, (ARP,)),
    "arp_tpa": _Field("destination", 32, (ARP,)),
    "arp_op": _Field("arp_op", 16, (ARP,)),
    "ip_frag": _Field("ip_frag", 2, _IP),
    "ip_dscp": _Field("ip_dscp", 6, _IP),
    "ip_proto": _Field("ip_proto", 8, _IP),
    "tcp_src": _Field("tp_src", 16, _IP, TCP, blank=True),
    "tcp_dst": _Field("tp_dst", 16, _IP, TCP, blank=True),
    "tcp_flags": _Field("tcp_flags", 12, _IP, TCP),
    "udp_src": _Field("tp_src", 16, _IP, UDP, blank=True),
    "udp_dst": _Field("tp_dst", 16, _IP, UDP, blank=True),
    "icmpv4_type": _Field("icmp_type", 8, (IPV4,), ICMP4, blank=True),
    "icmpv4_code": _Field("icmp_code", 8, (IPV4,), ICMP4, blank=True),
    "icmpv6_type": _Field("icmp_type", 8, (IPV6,), ICMP6, blank=True),
    "icmpv6_code": _Field("icmp_code", 8, (IPV6,), ICMP6, blank=True),
    "ipv6_nd_target": _Field("nd_target", 128, (IPV6,), ICMP6),
}


@dataclass(frozen=True, slots=True)
class Bits:
    """What is known of a part: ``value`` under ``mask``, of ``width`` bits."""

    value: int
    mask: int
    width: int

    def __str__(self) -> str:
        whole = self.mask == (1 << self.width) - 1
        return str(self.value) if whole else f"{self.value:#x}/{self.mask:#x}"


class UnknownFieldError(Exception):
    """A header field that sets of packets do not represent."""


class Space:
    """The set of all packets, and its subsets. Only sets of one space can be combined."""

    def __init__(self) -> None:
        self.bdd = cudd.BDD(memory_estimate=_MEMORY_BYTES, initial_cache_size=_CACHE_ENTRIES)
        self.bdd.configure(reordering=False)
        self._names = {part: [f"{part}.{bit}" for bit in range(bits)] for part, bits in _WIDTHS.items()}
        self.bdd.declare(*_in_order(self._names))
        self._variables = {part: [self.bdd.var(name) for name in names] for part, names in self._names.items()}
        self.none, self.all = self.bdd.false, self.bdd.true
        self._known: dict[tuple[str, int, int | None, bool], Set] = {}
        self._types: dict[tuple[tuple[int, ...], bool], Set] = {}
        self._ends: dict[int, Set] = {}
        same = self.all
        for mine, other in zip(self._variables["mark"], self._variables["ip_dscp"], strict=True):
            same &= mine.equiv(other)
        self.kept_mark: Set = same  # the DSCP is as it was sent

    def equal(self, part: str, value: int, mask: int | None = None, bits: int | None = None) -> Set:
        """All packets with these bits in the first ``bits`` of a part."""
        variables = self._variables[part][:bits]
        found = self.all
        for place, variable in enumerate(reversed(variables)):
            if mask is None or mask >> place & 1:
                found &= variable if value >> place & 1 else ~variable
        return found

    def above(self, part: str, limit: int) -> Set:
        """All packets with more than ``limit`` in a part."""
        found = self.none
        for place, variable in enumerate(reversed(self._variables[part])):
            found = variable & found if limit >> place & 1 else variable | found
        return found

    def match(self, name: str, value: int, mask: int | None = None, *, beneath: bool = False) -> Set:
        """All packets that a match of one field takes, as they were sent; ``beneath``: once the labels that they were
        sent with are gone. Raises UnknownFieldError."""
        key = name, value, mask, beneath
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._matching(*key)
        return found

    @staticmethod
    def check_field(name: str) -> None:
        """Raises UnknownFieldError for a field that `match` does not know."""
        if name not in _FIELDS:
            raise UnknownFieldError(name)

    def _matching(self, name: str, value: int, mask: int | None, beneath: bool) -> Set:
        self.check_field(name)
        field = _FIELDS[name]
        part = "inner_type" if beneath and name == "eth_type" else field.part
        found = self.equal(part, value, mask, field.bits)
        if field.blank:
            whole = self.equal("ip_frag", 0, ANY_FRAGMENT)
            blank = self.all if not (value if mask is None else value & mask) else self.none
            found = whole & found | ~whole & blank
        if field.protocol is not None:
            found &= self.equal("ip_proto", field.protocol)
        return found & self.of_type(field.types, beneath=beneath) if field.types else found

    def of_type(self, types: tuple[int, ...], *, beneath: bool = False) -> Set:
        """All packets of any of these EtherTypes."""
        if (types, beneath) not in self._types:
            part, found = "inner_type" if beneath else "eth_type", self.none
            for number in types:
                found |= self.equal(part, number)
            self._types[types, beneath] = found
        return self._types[types, beneath]

    def to(self, prefix: Prefix) -> Set:
        """All packets with a destination in ``prefix``."""
        name = "ipv4_dst" if prefix.version == 4 else "ipv6_dst"
        return self.match(name, int(prefix.network_address), int(prefix.netmask))

    def source_in(self, prefix: Prefix) -> Set:
        """All packets with a source in ``prefix``."""
        name = "ipv4_src" if prefix.version == 4 else "ipv6_src"
        return self.match(name, int(prefix.network_address), int(prefix.netmask))

    def out(self, number: int) -> Set:
        """All that end at ``number``."""
        if number not in self._ends:
            self._ends[number] = self.equal("out", number)
        return self._ends[number]

    def marked(self, dscp: int) -> Set:
        """All that leave with a DSCP."""
        return self.equal("mark", dscp)

    def any_of(self, sets: Iterable[Set]) -> Set:
        """The union."""
        found = self.none
        for each in sets:
            found |= each
        return found

    def packets(self, relation: Set) -> Set:
        """Those packets of which anything in ``relation`` becomes."""
        return self.bdd.exist([*self._names["out"], *self._names["mark"]], relation)

    def unmarked(self, relation: Set) -> Set:
        """The relation, whatever the marks."""
        return self.bdd.exist(self._names["mark"], relation)

    def ends(self, relation: Set) -> tuple[int, ...]:
        """All the ends that ``relation`` has, in rising order."""
        names = self._names["out"]
        others = [name for part, each in self._names.items() if part != "out" for name in each]
        found = self.bdd.exist(others, relation)
        return tuple(sorted(_number(each, names) for each in self.bdd.pick_iter(found, care_vars=names)))

    def example(self, relation: Set, preferred: Iterable[Set] = ()) -> Mapping[str, int]:
        """One of ``relation`` by parts; of ``preferred`` it is as much as it can be, the first first.

        Raises ValueError if there is none."""
        for wish in preferred:
            narrower = relation & wish
            relation = narrower if narrower != self.none else relation
        chosen = self.bdd.pick(relation)
        if chosen is None:
            raise ValueError("the set is empty")
        return {part: _number(chosen, names) for part, names in self._names.items()}

    def blocks(self, those: Set) -> Iterator[dict[str, Bits]]:
        """The set as parts under masks, which do not overlap and together are all of it."""
        part_of = {name: (part, place) for part, names in self._names.items() for place, name in enumerate(names)}
        left: list[tuple[Set, dict[str, Bits]]] = [(those, {})]
        while left:
            node, known = left.pop()
            if node == self.none:
                continue
            if node == self.all:
                yield known
                continue
            part, place = part_of[node.var]
            width = len_of(part)
            bit, before = 1 << width - 1 - place, known.get(part, Bits(0, 0, width))
            high, low = (~node.high, ~node.low) if node.negated else (node.high, node.low)
            left.append((high, {**known, part: Bits(before.value | bit, before.mask | bit, width)}))
            left.append((low, {**known, part: Bits(before.value, before.mask | bit, width)}))

    def of(self, packet: Packet) -> Set:
        """The set of one packet, whatever becomes of it."""
        fields, found = packet.fields, self.all
        inner = fields["eth_type"]
        for name, value in fields.items():
            if name not in ("eth_type", "nw_ttl", "in_port") and name in _FIELDS:
                found &= self.equal(_FIELDS[name].part, value, None, _FIELDS[name].bits)
        if "vlan_vid" not in fields:
            found &= self.equal("vlan_vid", 0)
        found &= self.equal("frame_bytes", fields.get("frame_bytes", 0))
        found &= self.equal("labels", len(packet.labels)) & self.equal("eth_type", MPLS if packet.labels else inner)
        if packet.labels:
            found &= self.equal("inner_type", inner)
        for place, label in enumerate(packet.labels):
            found &= self.equal(f"label{place}", label.label) & self.equal(f"tc{place}", label.tc)
        return found


def packet_of(example: Mapping[str, int], ttl: int = 64) -> Packet:
    """The packet that `Space.example` describes, without the tag of its line."""
    depth = example["labels"] if example["eth_type"] == MPLS else 0
    kind = example["inner_type"] if depth else example["eth_type"]
    fields: dict[str, int] = {"eth_type": kind}
    if example["vlan_vid"] & VLAN_PRESENT:
        fields["vlan_vid"] = example["vlan_vid"]
    for name, field in _FIELDS.items():
        wanted = field.types and kind in field.types and field.protocol in (None, example["ip_proto"])
        if wanted and name != "ipv6_nd_target":
            fields[name] = example[field.part] >> len_of(field.part) - field.bits
    if kind in _IP:
        fields["nw_ttl"] = ttl
    if example["frame_bytes"]:
        fields["frame_bytes"] = example["frame_bytes"]
    labels = (Label(example[f"label{place}"], example[f"tc{place}"], ttl) for place in range(depth))
    return Packet(fields, tuple(labels))


def len_of(part: str) -> int:
    """How many bits a part has."""
    return _WIDTHS[part]


def _in_order(names: Mapping[str, list[str]]) -> Iterator[str]:
    """All variables; the DSCPs as sent and as marked bit by bit beside each other, as they are compared."""
    for part, each in names.items():
        if part == "ip_dscp":
            yield from (name for pair in zip(each, names["mark"], strict=True) for name in pair)
        elif part != "mark":
            yield from each


def _number(chosen: Mapping[str, bool], names: list[str]) -> int:
    number = 0
    for name in names:
        number = number << 1 | bool(chosen.get(name))
    return number
