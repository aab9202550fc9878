"""Faults in what a switch does by itself, beside forwarding between sites: TTLs, answers to hosts, packets to the
controller, timeouts and ports. As in `faults`, each function returns a changed entry, or None."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random

from helsewan.controller.openflow.entries import (
    CONTROLLER,
    IN_PORT,
    Action,
    DecMplsTtl,
    DecTtl,
    FlowRule,
    GroupRule,
    Move,
    Output,
    Port,
    RuleSet,
    SetField,
    Table,
)
from helsewan.topology.model import TRUNK_PORT, Network
from helsewan.verification.mutation.mutant import Fault, Held

_OTHER_MAC = "02:00:5e:00:53:99"
_ADDRESSES = frozenset({"eth_src", "arp_sha", "ipv6_nd_tll"})
_TTLS = frozenset({"nw_ttl", "mpls_ttl"})
_SET_TTLS = (1, 2, 255)
_TIMEOUTS_S = (10, 300)
_PORT_FAULTS: tuple[dict[str, tuple[str, ...]], ...] = (
    {"config": ("no_receive",)},
    {"config": ("no_forward",)},
    {"config": ("port_down",)},
    {"config": ("no_packet_in",)},
)


def with_ports(network: Network, rules: Mapping[str, RuleSet]) -> dict[str, RuleSet]:
    """Intended rules as if read from switches whose ports are as they should be."""
    return {
        router: replace(held, ports=tuple(map(Port, sorted(_numbers(network, router)))))
        for router, held in rules.items()
    }


def _numbers(network: Network, router: str) -> set[int]:
    return {TRUNK_PORT, *network.ports[router].values(), *network.access_link_ports[router].values()}


def wrong_ttl(target: object, entry: Held, rng: Random) -> Fault | None:
    """A TTL is set, not decremented, decremented twice, or not copied from a label that is popped."""
    if isinstance(entry, GroupRule):
        return _bucket_without_copy(entry)
    if not isinstance(entry, FlowRule):
        return None
    places = [index for index, action in enumerate(entry.actions) if _touches_ttl(action)]
    if not places:
        return None
    index = rng.choice(places)
    action = entry.actions[index]
    choices: list[tuple[Action, ...]] = [()]
    if not isinstance(action, Move):
        name = "nw_ttl" if isinstance(action, DecTtl) else "mpls_ttl"
        choices += [(action, action), (SetField(name, rng.choice(_SET_TTLS)), action)]
    new = rng.choice(choices)
    actions = (*entry.actions[:index], *new, *entry.actions[index + 1 :])
    return Fault(f"{new or 'nothing'} for {action}: {entry}", (entry,), (replace(entry, actions=actions),))


def _touches_ttl(action: Action) -> bool:
    return isinstance(action, DecTtl | DecMplsTtl) or (isinstance(action, Move) and action.destination in _TTLS)


def _bucket_without_copy(entry: GroupRule) -> Fault | None:
    for place, bucket in enumerate(entry.buckets):
        kept = tuple(action for action in bucket.actions if not _touches_ttl(action))
        if kept != bucket.actions:
            buckets = (*entry.buckets[:place], replace(bucket, actions=kept), *entry.buckets[place + 1 :])
            return Fault(f"without the copy of a TTL: {entry}", (entry,), (replace(entry, buckets=buckets),))
    return None


def wrong_answer(target: object, entry: Held, rng: Random) -> Fault | None:
    """An answer to hosts is missing, or names another MAC address."""
    if not isinstance(entry, FlowRule) or not (Output(IN_PORT) in entry.actions or entry.goto is Table.NEIGHBOUR):
        return None
    named = [(i, a) for i, a in enumerate(entry.actions) if isinstance(a, SetField) and a.field in _ADDRESSES]
    if not named or rng.random() < 0.4:
        return Fault(f"no answer: {entry}", (entry,), ())
    index, action = rng.choice(named)
    wrong = replace(action, value=_OTHER_MAC)
    actions = (*entry.actions[:index], wrong, *entry.actions[index + 1 :])
    return Fault(f"{wrong}: {entry}", (entry,), (replace(entry, actions=actions),))


def wrong_punt(target: object, entry: Held, rng: Random) -> Fault | None:
    """A packet that cannot be forwarded is not sent to the controller; or one that is forwarded, answered or dropped
    is."""
    if not isinstance(entry, FlowRule):
        return None
    to_controller = Output(CONTROLLER)
    if to_controller in entry.actions:
        kept = tuple(action for action in entry.actions if action != to_controller)
        return Fault(f"not to the controller: {entry}", (entry,), (replace(entry, actions=kept),))
    actions = (to_controller, *entry.actions)
    return Fault(f"a copy to the controller: {entry}", (entry,), (replace(entry, actions=actions),))


def expiring(target: object, entry: Held, rng: Random) -> Fault | None:
    """The entry has a timeout."""
    if not isinstance(entry, FlowRule):
        return None
    seconds = rng.choice(_TIMEOUTS_S)
    new = replace(entry, hard_timeout_s=seconds) if rng.random() < 0.5 else replace(entry, idle_timeout_s=seconds)
    return Fault(f"expires: {new}", (entry,), (new,))


def wrong_port(target: object, entry: Held, rng: Random) -> Fault | None:
    """A port does not receive, does not send, reports no packets, or is down; of the trunk also its carrier."""
    if not isinstance(entry, Port):
        return None
    changes = list(_PORT_FAULTS)
    if entry.number == TRUNK_PORT:
        changes.append({"state": ("link_down",)})
    new = replace(entry, **rng.choice(changes))  # type: ignore[arg-type]
    return Fault(f"{new}", (entry,), (new,))
