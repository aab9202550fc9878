"""Models of the interface's responses. Units are in names: ``_bps`` bit/s, ``_us`` microseconds."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """The JSON of a response."""

    model_config = ConfigDict(frozen=True)


class PopOut(Answer):
    """A point of presence."""

    id: str
    town: str
    region: str
    routers: list[str]


class RouterOut(Answer):
    """A router. ``connected``: to the controller; ``programmed``: it holds its rules, whose numbers are ``flows``,
    ``groups`` and ``meters``."""

    id: str
    pop: str
    number: int
    connected: bool
    programmed: bool
    flows: int
    groups: int
    meters: int


class LinkOut(Answer):
    """A link between two routers. ``demand_bps`` is the policy's estimate for the busiest hour on the paths in use,
    from ``a`` to ``b`` and back; zero where the policy has no ``paths``."""

    id: str
    a: str
    b: str
    state: Literal["up", "down"]
    in_service: bool = Field(description="false: a user took it out of service")
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
    """An access link of a site; ``policed_bps`` by class."""

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
    """A page of the matching sites, of which there are ``total``."""

    total: int
    offset: int
    sites: list[SiteOut]


class VpnOut(Answer):
    """A VPN: its route targets, its labels for IPv4 and IPv6 packets, and (``sees``) the VPNs whose routes it
    imports."""

    name: str
    number: int
    label4: int
    label6: int
    imports: list[str]
    exports: list[str]
    sees: list[str]
    members: int


class VpnSitesOut(VpnOut):
    """A VPN with its member sites."""

    sites: list[str]


class WayOut(Answer):
    """A path through the backbone; ``lines`` are its links."""

    routers: list[str]
    lines: list[str]
    delay_us: int


class RepairOut(Answer):
    """The path (``way``) after the failure of the link ``line`` of the path in use, before the controller has computed
    new paths; null where packets are lost. ``shares``: what it still has in common with the failed link (shared-risk
    groups, the town where the link ends)."""

    line: str
    way: WayOut | None
    shares: list[str]


class ClassPathOut(Answer):
    """The present path (``way``) of a class's packets; null where they are lost. ``repaired``: routers detour them
    around a link that is down, by fast failover. ``repairs``: the path after the failure of each link."""

    name: str
    choice: str
    way: WayOut | None
    repaired: bool
    repairs: list[RepairOut]


class PathsOut(Answer):
    """Paths between two places. ``independent``: up to three that no single failure interrupts together."""

    start: str
    end: str
    classes: list[ClassPathOut]
    independent: list[WayOut]


class DropOut(Answer):
    """Packets that a table dropped for a reason, since its rule was installed."""

    table: str
    reason: str
    packets: int
    bytes: int


class ClassCountOut(Answer):
    """Packets that contracts accepted into a class, since their rules were installed."""

    name: str
    packets: int
    bytes: int


class RouterCountersOut(Answer):
    """A router's counters."""

    router: str
    drops: list[DropOut]
    classes: list[ClassCountOut]


class WithdrawnOut(Answer):
    """A link or PoP that a user took out of service, with the links concerned."""

    place: str
    lines: list[str]


class FaultsOut(Answer):
    """Links that are down, routers that are not connected, and what is out of service. ``in_effect``: the paths in use
    avoid all that is out of service."""

    lines_down: list[str]
    routers_away: list[str]
    withdrawn: list[WithdrawnOut]
    in_effect: bool


class PolicyOut(Answer):
    """The policy in force; ``source`` is the text of its file, empty where there is none."""

    name: str
    version: str
    vpns: int
    services: int
    contracts: int
    classes: list[str]
    source: str


class RulesOut(Answer):
    """The numbers of entries of a router that a change adds, alters and removes."""

    router: str
    added: int
    altered: int
    removed: int


class DryRunOut(Answer):
    """What a policy would change if it replaced version ``against``."""

    policy: str
    against: str
    changes: list[str]
    routers: list[RulesOut]


class AppliedOut(Answer):
    """A policy that is now in force; ``rules`` are the numbers of entries added, changed and removed."""

    policy: str
    version: str
    changes: list[str]
    rules: tuple[int, int, int]
    seconds: float


class ChangesOut(Answer):
    """The latest records of the audit log, oldest first."""

    changes: list[dict[str, Any]]


class ProblemOut(Answer):
    """One error in the input."""

    where: str
    value: Any = None
    reason: str
    hint: str = ""


class ProblemDetailsOut(Answer):
    """Why a request was not carried out (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    problems: list[ProblemOut] = Field([], description="at most the first 20")
    omitted: int = Field(0, description="further problems, for which the response has no room")
    choices: list[str] = Field([], description="what a name may mean, if it is of several places")
