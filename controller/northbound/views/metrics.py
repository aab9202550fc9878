"""Prometheus metrics: the controller's present state, and switches' counters, which may be some seconds old.

Names follow https://prometheus.io/docs/practices/naming: a prefix, base units, ``_total`` for accumulating counts.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from helsewan.controller.northbound.controller_client import ControllerProtocol, State
from helsewan.controller.northbound.counters import Counters
from helsewan.controller.northbound.views.views import withdrawn_links
from helsewan.policies.plan import Plan

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_OUTCOMES = {
    "policy-switched": ("policy", "done"),
    "policy-refused": ("policy", "refused"),
    "paths-switched": ("paths", "done"),
    "paths-refused": ("paths", "refused"),
}


def exposition(controller: ControllerProtocol, counters: Counters) -> bytes:
    """All metrics in Prometheus's text format. Raises what the methods of ``controller`` raise."""
    registry = CollectorRegistry()
    registry.register(_Scrape(controller.state(), controller.plan(), counters))
    return generate_latest(registry)


class _Scrape(Collector):
    """The metrics of one scrape."""

    def __init__(self, state: State, plan: Plan, counters: Counters) -> None:
        self._state, self._plan, self._counters = state, plan, counters

    def collect(self) -> Iterator[Metric]:
        """All metric families."""
        yield from self._switches()
        yield from self._network()
        yield from self._events()
        yield from self._dropped()

    def _switches(self) -> Iterator[Metric]:
        rules = GaugeMetricFamily("helsewan_rules", "Entries in a router's target.", labels=["router", "kind"])
        ready = GaugeMetricFamily("helsewan_router_programmed", "1: connected, holds its rules.", labels=["router"])
        audited = GaugeMetricFamily(
            "helsewan_audit_age_seconds", "Since a router's rules were last found correct.", labels=["router"]
        )
        for router, each in self._state["routers"].items():
            for kind in ("flows", "groups", "meters"):
                rules.add_metric([router, kind], each[kind])
            ready.add_metric([router], each["connected"] and each["programmed"])
        for router, age_s in self._state["audit"].items():
            audited.add_metric([router], age_s)
        yield from (rules, ready, audited)

    def _network(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("helsewan_line_up", "1: no end of the link is reported down.", labels=["line"])
        out = GaugeMetricFamily("helsewan_line_withdrawn", "1: the link is out of service.", labels=["line"])
        for link in self._plan.network.links:
            up.add_metric([link.id], link.id not in self._state["links_down"])
            out.add_metric([link.id], link.id in withdrawn_links(self._state))
        policy = GaugeMetricFamily("helsewan_policy_info", "The policy in force.", labels=["policy", "version"])
        policy.add_metric([self._state["policy"], self._state["version"]], 1)
        sites = GaugeMetricFamily("helsewan_sites", "Sites of a VPN.", labels=["vpn"])
        for vpn in self._plan.vpns:
            sites.add_metric([vpn.name], len(vpn.sites))
        cpu = CounterMetricFamily("helsewan_controller_cpu_seconds", "Processor time of the controller.")
        cpu.add_metric([], self._state["cpu_seconds"])
        yield from (up, out, policy, sites, cpu)

    def _events(self) -> Iterator[Metric]:
        count = self._state["events"]
        events = CounterMetricFamily("helsewan_events", "Events of the controller.", labels=["event"])
        for event in sorted(count):
            events.add_metric([event], count[event])
        changes = CounterMetricFamily(
            "helsewan_changes", "Changes across switches, by what and outcome.", labels=["what", "outcome"]
        )
        for event, (what, outcome) in _OUTCOMES.items():
            changes.add_metric([what, outcome], count.get(event, 0))
        yield from (events, changes)
        for name, event, description in (
            ("helsewan_drifts", "drift", "Deviations found between a switch's rules and its target."),
            ("helsewan_drift_repairs", "drift-repaired", "Deviations that were corrected."),
            ("helsewan_port_failures", "port-down", "Ports that went down; each end of a link counts."),
        ):
            family = CounterMetricFamily(name, description)
            family.add_metric([], count.get(event, 0))
            yield family

    def _dropped(self) -> Iterator[Metric]:
        labels = ["router", "table", "reason"]
        packets = CounterMetricFamily("helsewan_dropped_packets", "Packets that a table dropped.", labels=labels)
        octets = CounterMetricFamily("helsewan_dropped_bytes", "Bytes that a table dropped.", labels=labels)
        for router, drops in self._counters.all_drops().items():
            for drop in drops:
                packets.add_metric([router, drop.table, drop.reason], drop.packets)
                octets.add_metric([router, drop.table, drop.reason], drop.bytes)
        yield from (packets, octets)
