"""Policies for the reconciler to change to, and what its switches then hold."""

from __future__ import annotations

from dataclasses import replace

import reconciler_stage as testbed
from controller_switch import ICMP

from helsewan.policies.plan import Plan


def without_ping(plan: Plan) -> Plan:
    """A policy in which nobody may ping."""
    return replace(plan, policy="no ping", contracts=tuple(c for c in plan.contracts if c.service != "ping"))


def pings(stage: testbed.Stage) -> bool:
    """Whether the broker can be pinged from Bodo."""
    address = str(testbed.NETWORK.site["broker"].address4)
    return stage.fabric.send("bodo-gp", ipv4_dst=address, ip_proto=ICMP, icmpv4_type=8).vlan == 104


def held(stage: testbed.Stage) -> dict[str, object]:
    """What every switch holds."""
    return {router: (dict(s.flows), dict(s.groups), dict(s.meters)) for router, s in stage.fabric.switches.items()}
