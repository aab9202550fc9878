"""Why one packet from a site to another arrives or not: the path through the rules, the last rule, and the policy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import nearest
from helsewan.controller.openflow.entries import FlowRule
from helsewan.controller.openflow.pipeline import Drop
from helsewan.lab.proofs.rule_query import RuleQuery
from helsewan.verification.concrete.fabric import End, Fabric, Trace
from helsewan.verification.concrete.lookup import AmbiguousMatchError
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.concrete.packet_text import packet_from
from helsewan.verification.concrete.switch import NotModelledError, Stop
from helsewan.verification.dump.entry_json import to_json
from helsewan.verification.expected.expected import Expected, Intent
from helsewan.verification.reports.witness import in_words

_REASONS = {
    Drop.UNKNOWN_LINE: "it came in on a VLAN without access link",
    Drop.SPOOFED: "its source address is not the site's",
    Drop.NOT_IP: "it is neither IP nor a request for the gateway's address",
    Drop.LINK_LOCAL: "it is from a link-local or unspecified address",
    Drop.NOT_LABELLED: "it came from the backbone without a label",
    Drop.NO_ROUTE: "the VPN has no route to its destination",
    Drop.NO_CONTRACT: "no contract allows it, and it replies to nothing that one allows",
    Drop.ICMP_ERROR: "it is an ICMP error that no contract allows; one about allowed traffic goes on by the slow path",
    Drop.FRAGMENT: "it is a fragment, whose ports cannot be matched",
    Drop.NO_PATH: "no router of the destination can be reached",
    Drop.NO_LABEL: "its transport label is unknown",
    Drop.NO_VPN: "its VPN label is unknown",
    Drop.NOT_HERE: "its destination is no site of this router",
    Drop.TOO_LONG: "it is longer than the access link of its destination carries",
    Drop.NO_LINE: "both access links of its destination are down",
}


@dataclass(frozen=True)
class Why:
    """The trace of a packet from ``sender`` by the rules ``taken``, and what the policy expects of it."""

    sender: str
    receiver: str
    taken: str
    policy: str
    packet: Packet
    trace: Trace
    expected: Expected

    @property
    def rule(self) -> FlowRule | None:
        """The last entry that the packet matched."""
        rules = self.trace.hops[-1].visit.rules
        return rules[-1] if rules else None

    @property
    def counter(self) -> str:
        """Where the northbound interface counts what was dropped as this packet is; empty if it was not dropped by a
        rule for that."""
        if not isinstance(self.trace.reason, Drop) or self.rule is None:
            return ""
        return (
            f"/v1/counters/{self.trace.routers[-1]}, table {self.rule.table.name.lower()}, {_name(self.trace.reason)}"
        )

    @property
    def outcome(self) -> str:
        """What became of the packet, in words."""
        trace, router = self.trace, self.trace.routers[-1]
        if trace.end is End.DELIVERED:
            return f"delivered to {trace.site} by {router}"
        if trace.end is not End.DROPPED:
            return f"{trace.end.name.lower()} at {router}: {trace.end.value}"
        reason = trace.reason
        words = (
            _REASONS[reason] if isinstance(reason, Drop) else reason.value if isinstance(reason, Stop) else "dropped"
        )
        name = f" ({_name(reason)})" if reason is not None else ""
        answered = "; the router may answer its sender" if self.trace.hops[-1].visit.packet_in is not None else ""
        return f"dropped by {router}{name}: {words}{answered}"


def _name(reason: Drop | Stop) -> str:
    """A reason's name, as counters have it."""
    return reason.name.lower().replace("_", "-")


def why(query: RuleQuery, sender: str, receiver: str, packet: str, line: int = 0) -> Why:
    """What the rules that ``query`` selects do to a packet, described as in `packet_from`, that ``sender`` sends on its
    access link ``line``. Raises InputError, and the errors of a running lab's client."""
    dump, plan = query.read()
    network = plan.network
    for argument, site in (("SITE", sender), ("OTHER", receiver)):
        if site not in network.site:
            raise InputError(Problem(argument, site, "is no site of this network", nearest(site, network.site)))
    if line >= len(network.site[sender].accesses):
        raise InputError(Problem("--access-link", line, f"is no access link of {sender}", "it has one: 0"))
    if (sender, line) in dump.down.access_links or network.site[sender].homing[line] in dump.down.routers:
        hint = "a site with two access links sends on the other"
        raise InputError(Problem("--access-link", line, f"of {sender} is down, or its router is", hint))
    sent = packet_from(packet, network.site[sender], network.site[receiver])
    fabric = Fabric(network, Fabric.of(network, dump.rules).switches, dump.down)
    try:
        trace = fabric.trace_from(sender, sent, line)
    except (AmbiguousMatchError, NotModelledError, ValueError) as error:
        hint = "`helsewan verify` says more of such rules"
        raise InputError(Problem("--packet", packet, f"cannot be followed: {error}", hint)) from None
    return Why(sender, receiver, dump.taken, plan.policy, sent, trace, Intent(plan).of(sender, sent))


def as_json(found: Why) -> dict[str, Any]:
    """The answer as plain data; rules as in dumps."""
    trace = found.trace
    return {
        "sender": found.sender,
        "receiver": found.receiver,
        "rules": found.taken,
        "policy": found.policy,
        "packet": in_words(found.packet),
        "end": trace.end.name.lower(),
        "site": trace.site,
        "router": trace.routers[-1],
        "reason": _name(trace.reason) if trace.reason is not None else None,
        "outcome": found.outcome,
        "counter": found.counter or None,
        "rule": to_json(found.rule) if found.rule else None,
        "expected": {"disposition": found.expected.disposition.value, "reason": found.expected.reason,
                     "source": found.expected.source},
        "path": [{"router": hop.ingress.router, "rules": [to_json(rule) for rule in hop.visit.rules]}
                 for hop in trace.hops],
    }  # fmt: skip


def print_why(found: Why, as_data: bool, verbose: bool = False) -> None:
    """Print the packet, its path, what became of it by which rule, and what the policy says; with ``verbose`` every
    rule on the path."""
    if as_data:
        print(json.dumps(as_json(found), indent=2, ensure_ascii=False))
        return
    print(f"{found.sender} > {found.receiver}: {in_words(found.packet)}")
    print(f"rules: {found.taken}; policy {found.policy}")
    print(f"path: {' > '.join(found.trace.routers)}")
    print(found.outcome)
    if verbose:
        print("\n".join(map(str, found.trace.hops)))
    elif found.rule is not None:
        print(f"by the rule at {found.trace.routers[-1]}: {found.rule}")
    if found.counter:
        print(f"counted in {found.counter}")
    source = f" ({found.expected.source})" if found.expected.source else ""
    print(f"the policy: it {found.expected.disposition.value}, for {found.expected.reason}{source}")
