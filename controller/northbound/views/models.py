"""What the interface answers with. Units are in names, as everywhere: ``_bps`` bit/s, ``_us`` microseconds."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """An answer's JSON."""

    model_config = ConfigDict(frozen=True)


class PopOut(Answer):
    """A point of presence."""

    id: str
    town: str
    region: str
    routers: list[str]


class RouterOut(Answer):
    """A router, and whether the controller has it; ``programmed``: it holds the rules it is to hold."""

    id: str
    pop: str
    number: int
    connected: bool
    programmed: bool
    flows: int
    groups: int
    meters: int


class LinkOut(Answer):
    """A fibre between two routers. ``demand_bps`` is what the policy estimates for the busiest hour on the paths in
    use, from ``a`` to ``b`` and back; all zero where the policy has no ``paths``."""

    id: str
    a: str
    b: str
    state: Literal["up", "down"]
    in_service: bool = Field(description="false: somebody took it out of service")
    capacity_bps: int
    demand_bps: tuple[int, int]
    delay_us: int
    fibre_km: float
    shared_risks: list[str]


class TopologyOut(Answer):
    """The backbone."""

    network: str
    pops: list[PopOut]
    routers: list[RouterOut]
    lines: list[LinkOut]


class AccessOut(Answer):
    """A site's line; ``policed_bps`` by class."""

    router: str
    vlan: int
    backup: bool
    rate_bps: int
    delay_us: int
    mtu_bytes: int
    policed_bps: dict[str, int]


class SiteOut(Answer):
    """A site."""

    id: str
    name: str
    kind: str
    region: str
    municipality: str
    vpn: str
    role: str
    prefix4: str
    prefix6: str
    lines: list[AccessOut]


class SitesOut(Answer):
    """A page of the sites that were asked for, ``total`` in all."""

    total: int
    offset: int
    sites: list[SiteOut]


class VpnOut(Answer):
    """A VPN: its route targets, its labels under IPv4 and IPv6 packets, whose routes it imports."""

    name: str
    number: int
    label4: int
    label6: int
    imports: list[str]
    exports: list[str]
    sees: list[str]
    members: int


class VpnSitesOut(VpnOut):
    """The same with its members."""

    sites: list[str]


class WayOut(Answer):
    """A way through the backbone."""

    routers: list[str]
    lines: list[str]
    delay_us: int


class RepairOut(Answer):
    """The way after ``line`` of the way in use has failed, before the controller has found a better one. ``shares``:
    what it still has in common with the line that failed (its shared-risk groups, the town it leads to)."""

    line: str
    way: WayOut | None
    shares: list[str]


class ClassPathOut(Answer):
    """How packets of a class go now; ``repaired``: routers lead them round a line that is down, by themselves."""

    name: str
    choice: str
    way: WayOut | None
    repaired: bool
    repairs: list[RepairOut]


class PathsOut(Answer):
    """Ways between two places. ``independent``: up to three that no single failure takes away together."""

    start: str
    end: str
    classes: list[ClassPathOut]
    independent: list[WayOut]


class DropOut(Answer):
    """What a table dropped for a reason since its rule was installed."""

    table: str
    reason: str
    packets: int
    bytes: int


class ClassCountOut(Answer):
    """What contracts let into a class since their rules were installed."""

    name: str
    packets: int
    bytes: int


class RouterCountersOut(Answer):
    """A router's counters."""

    router: str
    drops: list[DropOut]
    classes: list[ClassCountOut]


class WithdrawnOut(Answer):
    """A line or PoP that somebody took out of service."""

    place: str
    lines: list[str]


class FaultsOut(Answer):
    """What is not as built. ``in_effect``: paths keep clear of all that is out of service."""

    lines_down: list[str]
    routers_away: list[str]
    withdrawn: list[WithdrawnOut]
    in_effect: bool


class PolicyOut(Answer):
    """The policy in force; ``source`` is its file as it was written, empty where it came without."""

    name: str
    version: str
    vpns: int
    services: int
    contracts: int
    classes: list[str]
    source: str


class RulesOut(Answer):
    """Entries of a router that a change adds, alters and removes."""

    router: str
    added: int
    altered: int
    removed: int


class DryRunOut(Answer):
    """What a policy would change if it took the place of version ``against``."""

    policy: str
    against: str
    changes: list[str]
    routers: list[RulesOut]


class AppliedOut(Answer):
    """A policy that packets meet from now on; ``rules`` counts entries that were added, turned and removed."""

    policy: str
    version: str
    changes: list[str]
    rules: tuple[int, int, int]
    seconds: float


class ChangesOut(Answer):
    """The latest records of the audit log of changes, oldest first."""

    changes: list[dict[str, Any]]


class ProblemOut(Answer):
    """One thing that is wrong with an input."""

    where: str
    value: Any = None
    reason: str
    hint: str = ""


class ProblemDetailsOut(Answer):
    """Why a request was not done (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    problems: list[ProblemOut] = []
