"""The compiled policy: frozen data that the controller changes into rules and the emulation into queues.

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

DETECT_WITHIN_US = 2_400_000  # unless a policy says otherwise; a host stall of 0.8 s then causes no false failure


class Protocol(IntEnum):
    """The IP protocol of a service (IANA's number). Those with a name here have rules of their own; any other number is
    a valid value too."""

    ICMP = 1  # echo, of both IP versions
    TCP = 6
    UDP = 17
    SCTP = 132
    EXPERIMENT = 253  # for experiments (RFC 3692): stands for a protocol that no service names
    ANY = 256  # all packets; where a service of a narrower protocol allows a packet too, that one decides its class

    @classmethod
    def _missing_(cls, value: object) -> Protocol | None:
        if not isinstance(value, int) or not 0 <= value <= 255:
            return None
        member = int.__new__(cls, value)
        member._name_, member._value_ = f"IP{value}", value
        return cls._value2member_map_.setdefault(value, member)  # type: ignore[return-value]

    @property
    def has_ports(self) -> bool:
        """Whether packets are told apart by ports."""
        return self in (Protocol.TCP, Protocol.UDP, Protocol.SCTP)

    @property
    def tells_replies(self) -> bool:
        """Whether a switch without state tells a reply from a packet that opens something: TCP by its flags, ICMP by
        its type."""
        return self in (Protocol.TCP, Protocol.ICMP)

    @property
    def sample(self) -> Protocol:
        """A protocol of which a packet can be made."""
        return Protocol.EXPERIMENT if self is Protocol.ANY else self


class Scheduling(str, Enum):
    """How a class queue is served."""

    STRICT = "strict"  # before all weighted queues, lower queue number first
    WEIGHTED = "weighted"  # deficit round robin among the weighted queues


class PathChoice(str, Enum):
    """How the paths of a class are chosen."""

    LEAST_DELAY = "least-delay"  # the shortest paths with capacity for the demand
    LEAST_LOADED = "least-loaded"  # around busy links, one tree after the other
    MIN_MAX = "min-max"  # minimises the utilisation of the busiest link, by linear programming


class Risk(str, Enum):
    """What two paths between the same routers may share, and so lose together."""

    LINKS = "links"  # a link between PoPs; interconnects within a PoP do not count
    SRLG = "srlg"  # a shared-risk link group (RFC 4202)
    POPS = "pops"  # a transit PoP of both


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of the backbone: links, and routers as transit (a path may begin or end at them)."""

    links: frozenset[str] = frozenset()
    routers: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.links or self.routers)


@dataclass(frozen=True, slots=True)
class PathAlgorithm:
    """How the paths of a class are chosen, and their constraints: a flexible algorithm in the sense of RFC 9350. All
    packets of one algorithm to one egress set share trees of paths.

    Paths use nothing of ``avoid`` unless there is no other path, and favour ``prefer``. Where possible they share none
    of the risks ``disjoint_in`` with the paths of the algorithms ``disjoint_from`` between the same routers."""

    choice: PathChoice = PathChoice.LEAST_DELAY
    avoid: Parts = Parts()
    prefer: Parts = Parts()
    disjoint_from: tuple[PathAlgorithm, ...] = ()
    disjoint_in: frozenset[Risk] = frozenset()

    @property
    def is_constrained(self) -> bool:
        """Whether its paths have hard constraints."""
        return bool(self.avoid or self.disjoint_from)

    @property
    def rank(self) -> int:
        """Length of the longest chain of algorithms whose paths must be found before its own."""
        return max((1 + other.rank for other in self.disjoint_from), default=0)


SHORTEST = PathAlgorithm()


@dataclass(frozen=True, slots=True)
class TrafficClass:
    """A class of service. ``queue`` is its number in every link (0 served first), ``dscps`` the code
    points that belong to it (the first is the one it marks with), ``weight`` its deficit-round-robin
    share, ``police_share`` the part of an access link's rate it is policed to (0 = not policed),
    ``buffer_us`` the limit of its queue, as time at link rate, ``path`` the algorithm of its paths,
    ``slow_weights`` (highest rate in bit/s, share) of links where its share is not ``weight``, slowest first."""

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
        """Its deficit-round-robin share on a link of ``rate_bps``; 0 for a strict class."""
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
    """A catalogue service: protocol, server ports (of TCP, UDP and SCTP), and the class it travels in. Packets that
    come marked for a class of ``kept`` stay in that class."""

    name: str
    protocol: Protocol
    ports: tuple[PortMatch, ...]
    class_name: str
    kept: tuple[str, ...] = ()

    @property
    def port_numbers(self) -> list[int]:
        """Every port of the service in ascending order, without port 0, on which nothing can listen."""
        ranges = (range(max(1, match.value), match.value + (0xFFFF & ~match.mask) + 1) for match in self.ports)
        return list(chain.from_iterable(ranges))


@dataclass(frozen=True, slots=True)
class Vpn:
    """A VPN with one VRF: ``id`` is the VRF number, ``label`` the MPLS VPN label of its IPv4 packets (RFC 4364) and
    ``label6`` of its IPv6 packets (RFC 4659), so that the label tells the IP version. ``both_access_links``:
    dual-homed sites are reached over the nearer access link; else over the backup only if the primary is down."""

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
    """Sites with the same VPN and the same contracts. ``prefixes``, of both IP versions, cover exactly the addresses of
    its sites (unused addresses of an aggregate may be inside)."""

    id: int
    name: str
    vpn: str
    sites: tuple[str, ...]
    prefixes: tuple[Prefix, ...]


@dataclass(frozen=True, slots=True)
class Contract:
    """``client`` role may open ``service`` to ``server`` role; replies are allowed back, nothing else is.

    ``source`` is the policy's ``file:line`` and ``name`` its entry, for explanations; ``id`` is its number in the
    counters."""

    name: str
    client: int
    server: int
    service: str
    source: str
    id: int


class ExceptionState(str, Enum):
    """State of an exception at the time of the plan. Only exceptions in force have contracts in the plan."""

    IN_FORCE = "in force"
    NOT_BEGUN = "not begun"
    ENDED = "ended"
    LEFT_OUT = "left out"  # the plan was compiled without a time


@dataclass(frozen=True, slots=True)
class TimedException:
    """Temporary contracts of this name, valid from ``begins`` (None: at once) until ``ends``, with the reason given.
    ``source`` is the policy's ``file:line``."""

    name: str
    reason: str
    source: str
    begins: datetime | None
    ends: datetime
    state: ExceptionState


@dataclass(frozen=True, slots=True)
class Attachment:
    """One access link as configured at its switch. ``police`` has (class name, policer rate in bit/s)."""

    site: str
    router: str
    vlan: int
    backup: bool
    vpn: str
    role: int
    police: tuple[tuple[str, int], ...]

    @property
    def number(self) -> AccessLinkId:
        """The id of the access link."""
        return self.site, int(self.backup)


@dataclass(frozen=True, slots=True)
class Egress:
    """An egress set: routers that reach the same sites. Paths of algorithm ``path`` lead to the first of them that is
    reachable or, if ``both`` are in use, to the nearest. ``index`` counts from 0."""

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
    """Demand at the busiest hour. ``demand_bps`` maps (router, egress index) to the traffic from router to egress set;
    ``fill`` is the part of a link's rate that demand may take (0 = not limited)."""

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
    answers_neighbours: bool = True  # neighbour discovery; False for the kernel's Open vSwitch
    source: str = ""  # text of the policy file or, if it includes others, of the merged policy
    file: str = ""  # name of that file in error messages
    exceptions: tuple[TimedException, ...] = ()
    contracts_at: str = ""  # ``file:line`` of the contracts section: the source of the default denial
    remarks: tuple[str, ...] = field(default=(), compare=False)  # on entries that are valid and have no effect

    @cached_property
    def digest(self) -> str:
        """Identifies the policy: first 12 hex digits of the SHA-256 of its text and the exceptions in force."""
        in_force = (each.name for each in self.exceptions if each.state is ExceptionState.IN_FORCE)
        return sha256("\0".join((self.source, *in_force)).encode()).hexdigest()[:12]

    @property
    def next_change(self) -> datetime | None:
        """When the next exception begins or ends, so that the policy must be compiled again."""
        changes = [each.ends for each in self.exceptions if each.state is ExceptionState.IN_FORCE]
        changes += [each.begins for each in self.exceptions if each.state is ExceptionState.NOT_BEGUN and each.begins]
        return min(changes, default=None)

    @cached_property
    def egress_index(self) -> dict[tuple[tuple[str, ...], bool, PathAlgorithm], int]:
        """Index of an egress set by its routers, whether both are in use, and path algorithm."""
        return {(egress.routers, egress.both, egress.path): egress.index for egress in self.egresses}

    def homing_of(self, site: str) -> tuple[tuple[str, ...], bool]:
        """The routers of a site, primary first, and whether both are in use."""
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
        """The access links of each site, by site id."""
        found: dict[str, list[Attachment]] = {site.id: [] for site in self.network.sites}
        for attachment in self.attachments:
            found[attachment.site].append(attachment)
        return found

    @cached_property
    def role_of_site(self) -> dict[str, Role]:
        """The role of each site, by site id."""
        return {site: role for role in self.roles for site in role.sites}

    @cached_property
    def allowed(self) -> frozenset[tuple[int, int, str]]:
        """All (client role, server role, service) triples that a contract allows."""
        return frozenset((contract.client, contract.server, contract.service) for contract in self.contracts)

    def imports_from(self, vpn: Vpn) -> tuple[Vpn, ...]:
        """The VPNs whose routes ``vpn`` imports: an exported route target it lists (RFC 4364, 4.3.1)."""
        return tuple(other for other in self.vpns if other.exports & vpn.imports)
