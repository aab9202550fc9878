"""The compiled policy: frozen data that the controller turns into rules and the emulation into queues.

A plan names everything by number where the switches do (labels, VRF and role numbers, DSCP) and
keeps the policy's own names beside them, so that every rule can be explained.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntEnum
from functools import cached_property
from hashlib import sha256
from itertools import chain

from helsewan.topology.model import AccessLinkId, Network, Prefix

DETECT_WITHIN_US = 2_400_000  # unless a policy says otherwise; a machine that stands still for 0.8 s does no harm then


class Protocol(IntEnum):
    """IP protocol numbers a contract can name (IANA)."""

    ICMP = 1
    TCP = 6
    UDP = 17


class Scheduling(str, Enum):
    """How a class queue is served."""

    STRICT = "strict"  # before all weighted queues, lower queue number first
    WEIGHTED = "weighted"  # deficit round robin among the weighted queues


class PathChoice(str, Enum):
    """By what a class's paths are chosen."""

    LEAST_DELAY = "least-delay"  # the shortest ways with room for the demand
    LEAST_LOADED = "least-loaded"  # around what is busy, one tree after the other
    MIN_MAX = "min-max"  # so that the busiest fibre is the least busy, by linear programming


class Risk(str, Enum):
    """What two ways between the same routers may have in common and lose together."""

    LINKS = "links"  # a fibre; a cable within a PoP is none
    SRLG = "srlg"  # a shared-risk group of fibres
    POPS = "pops"  # a PoP that both go through


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of the backbone: links, and routers to go through (a way may begin or end there)."""

    links: frozenset[str] = frozenset()
    routers: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.links or self.routers)


@dataclass(frozen=True, slots=True)
class PathAlgorithm:
    """How a class's paths are chosen, and what they keep to: what RFC 9350 calls a flexible algorithm. All packets of
    one algorithm to one egress set share trees of paths.

    Ways take nothing of ``avoid`` unless no other leads there, and of ``prefer`` rather than not. They have no
    risk of ``apart_in`` in common with those of the algorithms ``apart_from`` between the same routers, if they can."""

    choice: PathChoice = PathChoice.LEAST_DELAY
    avoid: Parts = Parts()
    prefer: Parts = Parts()
    disjoint_from: tuple[PathAlgorithm, ...] = ()
    disjoint_in: frozenset[Risk] = frozenset()

    @property
    def is_constrained(self) -> bool:
        """Whether there is something its ways must not take."""
        return bool(self.avoid or self.disjoint_from)

    @property
    def rank(self) -> int:
        """After how many others in a row its ways are found."""
        return max((1 + other.rank for other in self.disjoint_from), default=0)


SHORTEST = PathAlgorithm()


@dataclass(frozen=True, slots=True)
class TrafficClass:
    """A class of service. ``queue`` is its number in every link (0 served first), ``dscps`` the code
    points that belong to it (the first is the one it marks with), ``weight`` its deficit-round-robin
    share, ``police_share`` the part of an access line's rate it is policed to (0 = not policed),
    ``buffer_us`` how long its queue may grow, in time at line rate, ``path`` what its paths are chosen by,
    ``slow_weights`` (fastest rate in bit/s, share) of lines where its share is not ``weight``, slowest first."""

    name: str
    queue: int
    dscps: tuple[int, ...]
    scheduling: Scheduling
    weight: int
    police_share: float
    buffer_us: int
    delay_target_us: int
    jitter_target_us: int
    loss_target: float
    path: PathAlgorithm = SHORTEST
    slow_weights: tuple[tuple[int, int], ...] = ()

    def weight_at(self, rate_bps: int) -> int:
        """Its deficit-round-robin share on a line of ``rate_bps``; 0 for a strict class."""
        return next((weight for up_to, weight in self.slow_weights if rate_bps <= up_to), self.weight)

    @property
    def dscp(self) -> int:
        """The code point this class marks with."""
        return self.dscps[0]

    @property
    def mpls_tc(self) -> int:
        """The MPLS traffic class: the DSCP's top three bits (class selector; RFC 3270, RFC 5462)."""
        return self.dscp >> 3


@dataclass(frozen=True, slots=True)
class PortMatch:
    """A transport port range as value/mask, as OpenFlow can match it (mask 0xffff: one port)."""

    value: int
    mask: int


@dataclass(frozen=True, slots=True)
class Service:
    """A catalogue service: protocol and server ports (none for ICMP), and the class it travels in. Packets that come
    marked for a class of ``kept`` stay in that class."""

    name: str
    protocol: Protocol
    ports: tuple[PortMatch, ...]
    class_name: str
    kept: tuple[str, ...] = ()

    @property
    def port_numbers(self) -> list[int]:
        """Every port of the service, lowest first, but port 0, on which nothing can listen."""
        ranges = (range(max(1, match.value), match.value + (0xFFFF & ~match.mask) + 1) for match in self.ports)
        return list(chain.from_iterable(ranges))


@dataclass(frozen=True, slots=True)
class Vpn:
    """A VPN with one VRF: ``id`` is the VRF number, ``label`` the MPLS VPN label of its IPv4 packets (RFC 4364) and
    ``label6`` of its IPv6 packets (RFC 4659), so that a label says what is beneath it. ``both_access_links``: sites
    with two access links are reached over either, else over the second only where the first cannot be."""

    name: str
    id: int
    label: int
    label6: int
    imports: frozenset[str]
    exports: frozenset[str]
    sites: tuple[str, ...]
    both_access_links: bool = False

    def uses_both(self, homing: tuple[str, ...]) -> bool:
        """Whether a site of this VPN on these routers is reached over the nearest of them."""
        return self.both_access_links and len(homing) > 1


@dataclass(frozen=True, slots=True)
class Role:
    """Sites that the policy treats alike: one VPN, the same contracts. ``prefixes``, of both
    versions, cover exactly the addresses of its sites (unused addresses of an aggregate may be inside)."""

    id: int
    name: str
    vpn: str
    sites: tuple[str, ...]
    prefixes: tuple[Prefix, ...]


@dataclass(frozen=True, slots=True)
class Contract:
    """``client`` role may open ``service`` to ``server`` role; replies flow back, nothing else does.

    ``source`` is the policy's ``file:line`` and ``name`` its entry, for explanations; ``id`` is its number in the
    counters."""

    name: str
    client: int
    server: int
    service: str
    source: str
    id: int


class Standing(str, Enum):
    """How an exception stands at the moment that a plan is of. Only what is in force has contracts in the plan."""

    IN_FORCE = "in force"
    NOT_BEGUN = "not begun"
    ENDED = "ended"
    LEFT_OUT = "left out"  # the plan is of no moment


@dataclass(frozen=True, slots=True)
class TimedException:
    """Contracts of the same name that hold from ``begins`` (None: at once) until ``ends``, and why. ``source`` is the
    policy's ``file:line``."""

    name: str
    reason: str
    source: str
    begins: datetime | None
    ends: datetime
    standing: Standing


@dataclass(frozen=True, slots=True)
class Attachment:
    """One access line as the switch sees it. ``police`` maps class name to its policer, bit/s."""

    site: str
    router: str
    vlan: int
    backup: bool
    vpn: str
    role: int
    police: tuple[tuple[str, int], ...]

    @property
    def number(self) -> AccessLinkId:
        """The line it is."""
        return self.site, int(self.backup)


@dataclass(frozen=True, slots=True)
class Egress:
    """An egress set and how to get there: routers that reach the same sites, by paths of one algorithm to the first of
    them that there is, or, if ``both`` are in use, to the nearest. ``index`` counts from 0."""

    index: int
    routers: tuple[str, ...]
    path: PathAlgorithm = SHORTEST
    both: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """In ``vpn``, ``prefix`` is reached over egress set ``egress`` (an index; of the shortest paths)."""

    vpn: str
    prefix: Prefix
    egress: int


@dataclass(frozen=True)
class Traffic:
    """What paths must carry at the busiest hour. ``demand_bps`` maps (router, egress index) to what enters at the
    router for the egress set; ``fill`` is the part of a fibre's rate that demand may take (0 = not limited)."""

    demand_bps: dict[tuple[str, int], int] = field(default_factory=dict)
    fill: float = 0.0


NO_TRAFFIC = Traffic()


@dataclass(frozen=True)
class Plan:
    """Everything the controller and the emulation need to know of a policy on a network."""

    policy: str
    network: Network
    classes: tuple[TrafficClass, ...]
    services: tuple[Service, ...]
    vpns: tuple[Vpn, ...]
    roles: tuple[Role, ...]
    contracts: tuple[Contract, ...]
    attachments: tuple[Attachment, ...]
    egresses: tuple[Egress, ...]
    routes: tuple[Route, ...]
    detect_within_us: int = DETECT_WITHIN_US
    traffic: Traffic = NO_TRAFFIC
    answers_neighbours: bool = True  # in IPv6; the kernel's Open vSwitch cannot, so its sites know their gateway's MAC
    source: str = ""  # the policy's file as it was written or, if it includes others, all of it as one file
    file: str = ""  # what errors call that file
    exceptions: tuple[TimedException, ...] = ()
    contracts_at: str = ""  # the ``file:line`` where contracts begin: what none of them allows is forbidden

    @cached_property
    def digest(self) -> str:
        """Tells policies apart: the beginning of the SHA-256, in hex, of the file and the exceptions in force."""
        in_force = (each.name for each in self.exceptions if each.standing is Standing.IN_FORCE)
        return sha256("\0".join((self.source, *in_force)).encode()).hexdigest()[:12]

    @property
    def next_turn(self) -> datetime | None:
        """When the next exception begins or ends, and another plan is due."""
        turns = [each.ends for each in self.exceptions if each.standing is Standing.IN_FORCE]
        turns += [each.begins for each in self.exceptions if each.standing is Standing.NOT_BEGUN and each.begins]
        return min(turns, default=None)

    @cached_property
    def egress_index(self) -> dict[tuple[tuple[str, ...], bool, PathAlgorithm], int]:
        """Indices of egress sets by their routers, whether both are in use, and algorithm of paths."""
        return {(egress.routers, egress.both, egress.path): egress.index for egress in self.egresses}

    def homing_of(self, site: str) -> tuple[tuple[str, ...], bool]:
        """The routers that reach a site, first in use first, and whether both are in use."""
        homing, vpn = self.network.site[site].homing, self.vpn[self.role_of_site[site].vpn]
        return homing, vpn.uses_both(homing)

    def egress_to(self, site: str, path: PathAlgorithm) -> int:
        """The index of the egress set that reaches a site by paths of an algorithm."""
        routers, both = self.homing_of(site)
        return self.egress_index[routers, both, path]

    @cached_property
    def vpn(self) -> dict[str, Vpn]:
        """VPNs by name."""
        return {vpn.name: vpn for vpn in self.vpns}

    @cached_property
    def service(self) -> dict[str, Service]:
        """Services by name."""
        return {service.name: service for service in self.services}

    @cached_property
    def traffic_class(self) -> dict[str, TrafficClass]:
        """Classes by name."""
        return {cls.name: cls for cls in self.classes}

    @cached_property
    def attachments_of(self) -> dict[str, list[Attachment]]:
        """The access lines of each site, by site id."""
        found: dict[str, list[Attachment]] = {site.id: [] for site in self.network.sites}
        for line in self.attachments:
            found[line.site].append(line)
        return found

    @cached_property
    def role_of_site(self) -> dict[str, Role]:
        """The role each site plays, by site id."""
        return {site: role for role in self.roles for site in role.sites}

    @cached_property
    def allowed(self) -> frozenset[tuple[int, int, str]]:
        """All (client role, server role, service) triples that a contract allows."""
        return frozenset((contract.client, contract.server, contract.service) for contract in self.contracts)

    def imports_from(self, vpn: Vpn) -> tuple[Vpn, ...]:
        """The VPNs whose routes ``vpn`` imports: an exported route target it lists (RFC 4364, 4.3.1)."""
        return tuple(other for other in self.vpns if other.exports & vpn.imports)
