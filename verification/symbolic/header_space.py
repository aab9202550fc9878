"""Sets of packets as binary decision diagrams (CUDD, by `dd`): what a site may send, and where it ends.

A packet is the bits of its header fields as it was sent; fields that exclude each other share bits. Two results are
added: ``out``, where the packet ends (a number), and ``mark``, its DSCP once it is classified. A network is then one
relation between packets and results, and equal relations are the same node of the diagram.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from helsewan.controller.openflow.entries import ARP, IPV4, IPV6, MPLS
from helsewan.controller.openflow.pipeline import VLAN_PRESENT
from helsewan.topology.model import Prefix
from helsewan.verification.concrete.packet import Label, Packet
from helsewan.verification.cudd import load_cudd

cudd = load_cudd()

Set = Any  # a node of the diagram: dd has no types

SENT_LABELS = 3  # labels of a packet that a switch parses (Open vSwitch's FLOW_MAX_MPLS_LABELS)
FIRST_FRAGMENT, ANY_FRAGMENT = 1, 0b01  # of ip_frag: bit 0 is a fragment, bit 1 a later one
_MEMORY_BYTES = 4 << 30  # an upper bound for CUDD, not its consumption
_CACHE_ENTRIES = 1 << 22

# In the variable order of the diagram. Addresses come first, and the end of the path after the destination that
# decides it, so that a set grows with sites and not with pairs of them; what few rules match is at the bottom.
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
    **{f"{name}{index}": bits for index in range(SENT_LABELS) for name, bits in (("label", 20), ("tc", 3))},
    "labels": 2,
    "eth_src": 48,
    "eth_dst": 48,
}
TCP, UDP, SCTP, ICMP4, ICMP6 = 6, 17, 132, 1, 58


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
    "sctp_src": _Field("tp_src", 16, _IP, SCTP, blank=True),
    "sctp_dst": _Field("tp_dst", 16, _IP, SCTP, blank=True),
    "icmpv4_type": _Field("icmp_type", 8, (IPV4,), ICMP4, blank=True),
    "icmpv4_code": _Field("icmp_code", 8, (IPV4,), ICMP4, blank=True),
    "icmpv6_type": _Field("icmp_type", 8, (IPV6,), ICMP6, blank=True),
    "icmpv6_code": _Field("icmp_code", 8, (IPV6,), ICMP6, blank=True),
    "ipv6_nd_target": _Field("nd_target", 128, (IPV6,), ICMP6),
}


@dataclass(frozen=True, slots=True)
class Bits:
    """The known bits of a part: ``value`` under ``mask``, of ``width`` bits."""

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
        self.kept_mark: Set = same  # all packets whose mark is the DSCP that they were sent with

    def equal(self, part: str, value: int, mask: int | None = None, bits: int | None = None) -> Set:
        """All packets whose part, or its first ``bits`` bits, equals ``value`` under ``mask``."""
        variables = self._variables[part][:bits]
        found = self.all
        for index, variable in enumerate(reversed(variables)):
            if mask is None or mask >> index & 1:
                found &= variable if value >> index & 1 else ~variable
        return found

    def above(self, part: str, limit: int) -> Set:
        """All packets whose part is above ``limit``."""
        found = self.none
        for index, variable in enumerate(reversed(self._variables[part])):
            found = variable & found if limit >> index & 1 else variable | found
        return found

    def match(self, name: str, value: int, mask: int | None = None, *, inner: bool = False) -> Set:
        """All packets whose field equals ``value`` under ``mask``, as they were sent; ``inner``: once the labels that
        they were sent with are popped. Raises UnknownFieldError."""
        key = name, value, mask, inner
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._matching(*key)
        return found

    @staticmethod
    def check_field(name: str) -> None:
        """Raises UnknownFieldError for a field that `match` does not know."""
        if name not in _FIELDS:
            raise UnknownFieldError(name)

    def _matching(self, name: str, value: int, mask: int | None, inner: bool) -> Set:
        self.check_field(name)
        field = _FIELDS[name]
        part = "inner_type" if inner and name == "eth_type" else field.part
        found = self.equal(part, value, mask, field.bits)
        if field.blank:
            whole = self.equal("ip_frag", 0, ANY_FRAGMENT)
            blank = self.all if not (value if mask is None else value & mask) else self.none
            found = whole & found | ~whole & blank
        if field.protocol is not None:
            found &= self.equal("ip_proto", field.protocol)
        return found & self.of_type(field.types, inner=inner) if field.types else found

    def of_type(self, types: tuple[int, ...], *, inner: bool = False) -> Set:
        """All packets of any of these EtherTypes."""
        if (types, inner) not in self._types:
            part, found = "inner_type" if inner else "eth_type", self.none
            for number in types:
                found |= self.equal(part, number)
            self._types[types, inner] = found
        return self._types[types, inner]

    def to(self, prefix: Prefix) -> Set:
        """All packets with a destination in ``prefix``."""
        name = "ipv4_dst" if prefix.version == 4 else "ipv6_dst"
        return self.match(name, int(prefix.network_address), int(prefix.netmask))

    def source_in(self, prefix: Prefix) -> Set:
        """All packets with a source in ``prefix``."""
        name = "ipv4_src" if prefix.version == 4 else "ipv6_src"
        return self.match(name, int(prefix.network_address), int(prefix.netmask))

    def out(self, number: int) -> Set:
        """All packets that end at ``number``."""
        if number not in self._ends:
            self._ends[number] = self.equal("out", number)
        return self._ends[number]

    def marked(self, dscp: int) -> Set:
        """All packets that are marked with ``dscp``."""
        return self.equal("mark", dscp)

    def any_of(self, sets: Iterable[Set]) -> Set:
        """The union."""
        found = self.none
        for each in sets:
            found |= each
        return found

    def packets(self, relation: Set) -> Set:
        """The packets of ``relation``, whatever their result."""
        return self.bdd.exist([*self._names["out"], *self._names["mark"]], relation)

    def unmarked(self, relation: Set) -> Set:
        """``relation`` without its marks."""
        return self.bdd.exist(self._names["mark"], relation)

    def ends(self, relation: Set) -> tuple[int, ...]:
        """All ends in ``relation``, ascending."""
        names = self._names["out"]
        others = [name for part, each in self._names.items() if part != "out" for name in each]
        found = self.bdd.exist(others, relation)
        return tuple(sorted(_number(each, names) for each in self.bdd.pick_iter(found, care_vars=names)))

    def example(self, relation: Set, preferred: Iterable[Set] = ()) -> Mapping[str, int]:
        """One element of ``relation``, by parts. It is in as many of the ``preferred`` sets as possible, earlier ones
        first.

        Raises ValueError if the relation is empty."""
        for preference in preferred:
            narrower = relation & preference
            relation = narrower if narrower != self.none else relation
        chosen = self.bdd.pick(relation)
        if chosen is None:
            raise ValueError("the set is empty")
        return {part: _number(chosen, names) for part, names in self._names.items()}

    def blocks(self, subset: Set) -> Iterator[dict[str, Bits]]:
        """The set as disjoint cubes: each gives known bits by part, and their union is the set."""
        part_of = {name: (part, index) for part, names in self._names.items() for index, name in enumerate(names)}
        left: list[tuple[Set, dict[str, Bits]]] = [(subset, {})]
        while left:
            node, known = left.pop()
            if node == self.none:
                continue
            if node == self.all:
                yield known
                continue
            part, index = part_of[node.var]
            width = len_of(part)
            bit, before = 1 << width - 1 - index, known.get(part, Bits(0, 0, width))
            high, low = (~node.high, ~node.low) if node.negated else (node.high, node.low)
            left.append((high, {**known, part: Bits(before.value | bit, before.mask | bit, width)}))
            left.append((low, {**known, part: Bits(before.value, before.mask | bit, width)}))

    def of(self, packet: Packet) -> Set:
        """The set of one packet, with every result."""
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
        for index, label in enumerate(packet.labels):
            found &= self.equal(f"label{index}", label.label) & self.equal(f"tc{index}", label.tc)
        return found


def packet_of(example: Mapping[str, int], ttl: int = 64) -> Packet:
    """The packet that `Space.example` describes, without the VLAN tag of its access link."""
    depth = example["labels"] if example["eth_type"] == MPLS else 0
    kind = example["inner_type"] if depth else example["eth_type"]
    fields: dict[str, int] = {"eth_type": kind}
    if example["vlan_vid"] & VLAN_PRESENT:
        fields["vlan_vid"] = example["vlan_vid"]
    for name, field in _FIELDS.items():
        is_present = field.types and kind in field.types and field.protocol in (None, example["ip_proto"])
        if is_present and name != "ipv6_nd_target":
            fields[name] = example[field.part] >> len_of(field.part) - field.bits
    if kind in _IP:
        fields["nw_ttl"] = ttl
    if example["frame_bytes"]:
        fields["frame_bytes"] = example["frame_bytes"]
    labels = (Label(example[f"label{index}"], example[f"tc{index}"], ttl) for index in range(depth))
    return Packet(fields, tuple(labels))


def len_of(part: str) -> int:
    """The width of a part in bits."""
    return _WIDTHS[part]


def _in_order(names: Mapping[str, list[str]]) -> Iterator[str]:
    """All variables in order. The bits of the DSCP as sent and as marked alternate, since they are compared."""
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
