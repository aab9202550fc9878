"""What a proof depends on beside where packets go: answers, packets to the controller, timeouts and ports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from helsewan.controller.openflow.entries import FlowRule, Port, RuleSet, Table
from helsewan.policies.plan import Plan
from helsewan.topology.model import TRUNK_PORT, Network
from helsewan.verification.failures import INTACT
from helsewan.verification.findings import FindingKind, VerificationFinding
from helsewan.verification.local.answers import wrong_answers
from helsewan.verification.local.punts import wrong_punts
from helsewan.verification.symbolic.static_model import Static

NO_PORTS = "ports (these rules are not read from switches)"
OTHER_SETTINGS = "settings of switches beside entries and ports, such as mirrors and the handling of fragments"


def faults(plan: Plan, static: Static) -> Iterator[VerificationFinding]:
    """What is wrong in the state of the switches, whatever fails; nothing for routers that are off, which have no
    entries."""
    for router, held in static.rules.items():
        if held.flows:
            yield from wrong_answers(plan, static, router)
            yield from wrong_punts(router, held)
            yield from expiring(router, held)
    yield from wrong_ports(plan.network, static.rules)


def not_examined(rules: Mapping[str, RuleSet]) -> tuple[str, ...]:
    """What affects packets, and is not known of these switches."""
    return OTHER_SETTINGS, *([] if any(held.ports for held in rules.values()) else [NO_PORTS])


def expiring(router: str, held: RuleSet) -> Iterator[VerificationFinding]:
    """Flow entries that a switch will remove by itself, one finding for each table."""
    found: dict[Table, list[FlowRule]] = {}
    for rule in held.flows:
        if rule.idle_timeout_s or rule.hard_timeout_s:
            found.setdefault(rule.table, []).append(rule)
    for rules in found.values():
        reason = "the entry has a timeout: what is proved holds only until the switch removes it"
        where = f"{router}: {rules[0]}"
        yield VerificationFinding(
            FindingKind.EXPIRES, INTACT.name, reason, "", where=where, alike=len(rules) - 1, alike_are="entries"
        )


def wrong_ports(network: Network, rules: Mapping[str, RuleSet]) -> Iterator[VerificationFinding]:
    """Ports that do not receive and send as the network's links need. Links and access links with ports of their own
    may be down, which is a failure; everything else is none that any failure explains. Nothing for rules without
    ports."""
    if not any(held.ports for held in rules.values()):
        return
    for router, held in rules.items():
        ports = {port.number: port for port in held.ports}
        for number, use in _uses(network, router).items() if held.flows or ports else ():
            for reason in _defects(ports.get(number), use, number):
                where = f"{router}: {ports.get(number, f'port {number}')}"
                yield VerificationFinding(FindingKind.PORT, INTACT.name, reason, "", where=where)


def _uses(network: Network, router: str) -> dict[int, str]:
    """What each port of a router leads to."""
    found = {port: f"link {link}" for link, port in network.ports[router].items()}
    found |= {port: f"access link {site}/wan{n}" for (site, n), port in network.access_link_ports[router].items()}
    behind = [site for site in network.sites if len(site.accesses) == 1 and site.accesses[0].router == router]
    if behind:
        found[TRUNK_PORT] = f"the access links of {len(behind)} sites"
    return found


def _defects(port: Port | None, use: str, number: int) -> Iterator[str]:
    if port is None:
        yield f"the switch has no such port, which leads to {use}"
        return
    # A link that has failed is down on both sides of the port; a case of failures accounts for it.
    failed = {"port_down"} if number != TRUNK_PORT and port.is_dead else set[str]()
    if config := [each for each in port.config if each not in failed]:
        yield f"the port to {use} is configured with {', '.join(config)}: it does not treat every packet alike"
    if "blocked" in port.state:
        yield f"the port to {use} is blocked"
    if number == TRUNK_PORT and port.is_dead:
        yield f"the port to {use} is down"
    unknown = [each for each in port.state if each.startswith("0x")]
    if unknown:
        yield f"the port to {use} has an unknown state, {', '.join(unknown)}"
