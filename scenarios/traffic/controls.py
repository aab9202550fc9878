"""Probing flows and their controls: a denial proves nothing where nothing would arrive anyway. Pure.

So every socket that is probed or scanned also gets a control, a flow that must arrive there: from another site where
the policy allows one, else from the site itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from helsewan.lab.flows.flowspec import Endpoint, Expect, FlowKind, FlowSpec
from helsewan.policies.plan import Plan, Service, TrafficClass
from helsewan.scenarios.traffic.pairs import PortBook, fixed_port
from helsewan.topology.model import Site

CONTROL_BYTES = 64  # UDP payload


@dataclass(frozen=True, slots=True)
class Pace:
    """Evenly spaced datagrams: the first at ``start_us``, none from ``stop_us`` on."""

    interval_us: int
    payload_bytes: int
    start_us: int
    stop_us: int


def probing_flow(
    name: str,
    kind: FlowKind,
    client: Site,
    server: Site,
    service: str,
    traffic_class: TrafficClass,
    ends: tuple[Endpoint, Endpoint],
    pace: Pace,
    expect: Expect,
    groups: tuple[str, ...],
) -> FlowSpec:
    """A probe, a scan of a port, or a control, without an id. ``ends``: source and destination."""
    return FlowSpec(
        id=-1,
        name=name,
        kind=kind,
        class_name=traffic_class.name,
        service=service,
        client=client.id,
        server=server.id,
        source=ends[0],
        destination=ends[1],
        dscp=traffic_class.dscp,
        sent_dscp=traffic_class.dscp,
        interval_ns=pace.interval_us * 1000,
        burst=1,
        payload_bytes=pace.payload_bytes,
        start_us=pace.start_us,
        stop_us=pace.stop_us,
        expect=expect,
        groups=groups,
    )


def controls(
    entry: str, probes: Sequence[FlowSpec], plan: Plan, ports: PortBook, rng: Random, every_us: int, stop_us: int
) -> Iterator[FlowSpec]:
    """One control for each socket that ``probes`` are sent to, a datagram every ``every_us``."""
    targets = {probe.destination: probe for probe in probes}
    for number, (socket, probe) in enumerate(sorted(targets.items(), key=lambda target: _order(target[0])), start=1):
        site, version = plan.network.site[socket.site], socket.address.version
        service = plan.service.get(probe.service)
        client = (service and _allowed_client(site, service, socket, plan, rng)) or site
        yield probing_flow(
            f"{entry}/control-{number:03d} {client.id} > {site.id}:{socket.port} IPv{version}",
            FlowKind.CONTROL,
            client,
            site,
            probe.service,
            plan.traffic_class[probe.class_name],
            (ports.of_client(client, version), socket),
            Pace(every_us, CONTROL_BYTES, rng.randrange(every_us), stop_us),
            Expect.DELIVERED,
            (entry, f"{entry}.controls"),
        )


def _allowed_client(server: Site, service: Service, socket: Endpoint, plan: Plan, rng: Random) -> Site | None:
    """A site that may reach ``socket``, sampled from all roles that may; None where there is none."""
    if socket != fixed_port(server, service, socket.address.version):
        return None
    server_role = plan.role_of_site[server.id].id
    able = [
        role
        for role in plan.roles
        if (role.id, server_role, service.name) in plan.allowed and set(role.sites) != {server.id}
    ]
    sites = [site for role in able for site in role.sites if site != server.id]
    return plan.network.site[rng.choice(sites)] if sites else None


def _order(socket: Endpoint) -> tuple[str, int, int, int]:
    return socket.site, socket.address.version, int(socket.address), socket.port
