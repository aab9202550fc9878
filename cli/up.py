"""``helsewan up``, ``renew`` and ``down``: start a network that keeps running, let it live on, and stop it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from helsewan.cli.options import (
    DEFAULT_POLICY,
    DEFAULT_SEED,
    DataplaneName,
    Debug,
    From,
    Name,
    Policy,
    Results,
    Routers,
    Seed,
    Sites,
    SwedishRoute,
)
from helsewan.common.exit_codes import ExitCode


def up(
    sites: Sites = None,
    seed: Seed = DEFAULT_SEED,
    source: From = None,
    swedish_route: SwedishRoute = False,
    policy: Policy = DEFAULT_POLICY,
    hosts_per_hospital: Annotated[int, typer.Option(help="Hosts on a LAN behind every hospital.", min=0, max=200)] = 0,
    dataplane: DataplaneName = "engine",
    routers: Routers = "",
    standby: Annotated[bool, typer.Option("--standby", help="Add a standby controller.")] = False,
    name: Annotated[str, typer.Option("--name", help="The network's name.")] = "default",
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return once the network is up, and leave it running.")
    ] = False,
    results: Results = Path("results"),
    api: Annotated[str | None, typer.Option("--api", help="Serve REST and metrics: unix, or 127.0.0.1:PORT.")] = None,
    with_pid: Annotated[int | None, typer.Option("--with-pid", help="End when the process of that id ends.")] = None,
    lease: Annotated[
        str | None, typer.Option("--lease", help="End after so long, such as 60s, unless `helsewan renew` comes first.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Start a network and run it until `helsewan down` or Ctrl-C."""
    from helsewan.emulation.routers.forwarding import forwarding
    from helsewan.lab.server.up import LabRequest, run_lab

    request = LabRequest(
        name=name,
        sites=sites,
        seed=seed,
        source=source,
        swedish_route=swedish_route,
        policy=policy,
        lan_hosts=hosts_per_hospital,
        forwarding=forwarding(dataplane, routers),
        standby=standby,
        results=results,
        debug=debug,
        api=api,
        with_pid=with_pid,
        lease=lease,
    )
    raise typer.Exit(run_lab(request, detach))


def renew(
    name: Name = None,
    lease: Annotated[
        str | None, typer.Option("--lease", help="The lease from now on, or `none`; by default as long as before.")
    ] = None,
) -> None:
    """Renew the lease of a running network, from now on."""
    from helsewan.common.units import format_duration
    from helsewan.lab.client.client import Client
    from helsewan.lab.server.lifetime import parse_lease_us

    forever = lease == "none"
    lease_us = None if lease is None or forever else parse_lease_us(lease)
    with Client(name) as client:
        limits = client.ask("renew", lease_us=lease_us, forever=forever)
        left = format_duration(int(limits["lease"]["seconds"] * 1e6)) if "lease" in limits else "no lease"
        print(f"network {client.name}: {left}")


def down(name: Name = None) -> None:
    """Stop a running network. Returns when all its processes have ended."""
    from helsewan.lab.client.client import Client, NetworkRefused

    with Client(name) as client:
        client.ask("down")
        if not client.wait_until_gone():
            raise NetworkRefused(f"network {client.name} did not stop in time", ExitCode.VOID)
