"""Estimates the traffic matrix at the busiest hour, by router, egress set and class.

There are no measurements of the emulated network; the estimate uses figures of the policy instead:

- A site sends the policy's ``busy`` part of its access link's rate at the busiest hour, on its primary link.
- Of that, a policed class has its policed share of the link; what the policed classes leave is divided among
  the weighted ones by weight. A strict class without a policer is for network control: no site sends in it.
- What a site sends in a class goes to the sites that contracts let it exchange that class with, requests or
  replies, in proportion to their access links' rates (a gravity model: Zhang et al., "Fast accurate computation of
  large-scale IP traffic matrices from link loads", SIGMETRICS 2003). Where there are none, it sends nothing.

Traffic between sites of one router is not counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from helsewan.policies.language.schema import PathsSpec, PolicySpec
from helsewan.policies.plan import Plan, Role, Scheduling, Traffic

_Rates = dict[str, Counter[tuple[str, ...]]]  # class -> homing of the senders -> bit/s


def compile_traffic(spec: PolicySpec, paths: PathsSpec, plan: Plan) -> Traffic:
    """The demand of every router for every egress set, by the choice of paths of the classes in it."""
    sent = {role.id: _sent(spec, plan, role.sites, paths.busy) for role in plan.roles}
    attraction = {role.id: _attraction(plan, role) for role in plan.roles}
    demand: defaultdict[tuple[str, int], float] = defaultdict(float)
    for (role, name), peers in _peers(plan).items():
        attracted: Counter[tuple[tuple[str, ...], bool]] = Counter()
        for peer in peers:
            attracted.update(attraction[peer])
        whole = sum(attracted.values())
        for homing, rate in sent[role][name].items():
            for (there, both), part in attracted.items():
                if there[0] != homing[0]:
                    egress = plan.egress_index[there, both, plan.traffic_class[name].path]
                    demand[homing[0], egress] += rate * part / whole
    return Traffic({key: round(rate) for key, rate in sorted(demand.items())}, paths.fill or 0.0)


def _peers(plan: Plan) -> dict[tuple[int, str], set[int]]:
    """(role, class) -> the roles it exchanges that class with."""
    found: dict[tuple[int, str], set[int]] = defaultdict(set)
    for contract in plan.contracts:
        name = plan.service[contract.service].class_name
        found[contract.client, name].add(contract.server)
        found[contract.server, name].add(contract.client)
    return found


def _sent(spec: PolicySpec, plan: Plan, sites: tuple[str, ...], busy: float) -> _Rates:
    """What these sites send, by class and homing."""
    found: _Rates = {name: Counter() for name in spec.classes}
    for site in (plan.network.site[name] for name in sites):
        rate_bps = site.accesses[0].rate_bps
        for name, share in class_shares(spec, rate_bps).items():
            found[name][site.homing] += round(rate_bps * busy * share)
    return found


def _attraction(plan: Plan, role: Role) -> Counter[tuple[tuple[str, ...], bool]]:
    """The weight of these sites as destinations, by homing and whether both access links are in use: their rates."""
    found: Counter[tuple[tuple[str, ...], bool]] = Counter()
    for site in (plan.network.site[name] for name in role.sites):
        found[site.homing, plan.vpn[role.vpn].uses_both(site.homing)] += site.accesses[0].rate_bps
    return found


def class_shares(spec: PolicySpec, rate_bps: int) -> dict[str, float]:
    """The part of each class in the traffic that a site with an access link of ``rate_bps`` sends."""
    policed = {name: cls.share_at(rate_bps) for name, cls in spec.classes.items()}
    weights = {
        name: cls.weight_at(rate_bps)
        for name, cls in spec.classes.items()
        if cls.scheduling is Scheduling.WEIGHTED and not policed[name]
    }
    left = max(0.0, 1 - sum(policed.values())) / (sum(weights.values()) or 1)
    return {name: policed[name] or left * weights.get(name, 0) for name in spec.classes}
