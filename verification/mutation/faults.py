"""The fault functions: each takes an entry and returns its replacement, or None where the entry cannot have the fault.
All random choices come from ``rng``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from helsewan.controller.openflow.entries import (
    CONTROLLER,
    IPV4,
    IPV6,
    Action,
    Bucket,
    FlowRule,
    Group,
    GroupRule,
    MeterRule,
    Output,
    PacketMeterRule,
    PopMpls,
    Port,
    Resubmit,
    SetField,
    Table,
)
from helsewan.controller.openflow.pipeline import CLASS, DESTINATION_ROLE, DESTINATION_VPN, SOURCE_ROLE, VRF
from helsewan.verification.dump.fields import bits as width_of
from helsewan.verification.mutation.fields import MaskedValue, is_maskable, masked_match, match_value, overlap
from helsewan.verification.mutation.mutant import Fault, Held, Mutation, MutationTarget, dependents
from helsewan.verification.mutation.state_faults import expiring, wrong_answer, wrong_port, wrong_punt, wrong_ttl

FOREIGN_TABLE = Table(42)
_HIGHEST = 0xFFFF


FaultFunction = Callable[[MutationTarget, Held, Random], "Fault | None"]


def dropped(target: MutationTarget, entry: Held, rng: Random) -> Fault | None:
    """The entry is missing, and the entries that refer to it."""
    also = () if isinstance(entry, FlowRule | Port) else dependents(target.rules, entry)
    return Fault(f"without {entry}", (entry, *also), ())


def widened(target: MutationTarget, entry: Held, rng: Random) -> Fault | None:
    """The match covers more packets."""
    if not isinstance(entry, FlowRule) or not entry.match:
        return None
    index = rng.randrange(len(entry.match))
    name, _ = entry.match[index]
    each = list(masked_match(entry.match).values())[index]
    if not is_maskable(name) or rng.random() < 0.3:
        return _with_field(entry, index, None, f"takes any {name}")
    bits = [bit for bit in range(width_of(name)) if each.mask >> bit & 1]
    if _is_prefix(name):
        shorter = rng.randint(1, min(8, len(bits)))
        mask = each.mask & ~sum(1 << bit for bit in bits[:shorter])
    else:  # any bit of the metadata: one more role, VRF or VPN
        mask = each.mask & ~(1 << (rng.choice(bits) if "metadata" in name else bits[0]))
    wider = MaskedValue(each.value & mask, mask)
    return _with_field(entry, index, match_value(name, wider) if mask else None, f"takes more by {name}")


def narrowed(target: MutationTarget, entry: Held, rng: Random) -> Fault | None:
    """The match covers fewer packets: half as many, or one DSCP."""
    if not isinstance(entry, FlowRule):
        return None
    matched = masked_match(entry.match)
    partial = [i for i, (name, each) in enumerate(zip(dict(entry.match), matched.values(), strict=True))
               if is_maskable(name) and each.mask != (1 << width_of(name)) - 1]  # fmt: skip
    if not partial or rng.random() < 0.2:
        if entry.table is not Table.CONTRACT or "ip_dscp" in matched:
            return None
        dscp = rng.choice((0, 18, 46))
        return Fault(
            f"takes DSCP {dscp} alone: {entry}", (entry,), (_with_match(entry, (*entry.match, ("ip_dscp", dscp))),)
        )
    index = rng.choice(partial)
    name, each = entry.match[index][0], list(matched.values())[index]
    free = [bit for bit in range(width_of(name)) if not each.mask >> bit & 1]
    bit = 1 << (free[-1] if _is_prefix(name) or "metadata" not in name else rng.choice(free))
    value = each.value | (bit if rng.random() < 0.5 else 0)
    return _with_field(entry, index, match_value(name, MaskedValue(value, each.mask | bit)), f"takes less by {name}")


def swapped(target: MutationTarget, entry: Held, rng: Random) -> Fault | None:
    """Two entries of a table have each other's instructions."""
    if not isinstance(entry, FlowRule):
        return None
    other = rng.choice(target.flows(entry.table))
    if _instructions(other) == _instructions(entry):
        return None
    return Fault(
        f"exchanged with {other}: {entry}",
        (entry, other),
        (_with_instructions(entry, other), _with_instructions(other, entry)),
    )


def misprioritised(target: MutationTarget, entry: Held, rng: Random) -> Fault | None:
    """The priority is above, below or equal to that of an overlapping entry; of any, if none overlaps."""
    if not isinstance(entry, FlowRule):
        return None
    others = [rule for rule in target.flows(entry.table) if rule != entry and rule.priority != entry.priority]
    overlapping = [rule for rule in others if overlap(rule.match, entry.match)] or others
    if not overlapping:
        return None
    other = rng.choice(overlapping)
    step, where = rng.choice(((0, "beside"), (1, "above"), (-1, "below")))
    priority = min(max(other.priority + step, 0), _HIGHEST)
    if priority == entry.priority:
        return None
    return Fault(f"{where} {other}: {entry}", (entry,), (replace(entry, priority=priority),))


def added(target: MutationTarget, entry: Held, rng: Random) -> Fault | None:
    """A new entry with the same instructions for all packets or all of one EtherType; or the same entry in a table that
    the pipeline does not use."""
    if not isinstance(entry, FlowRule) or not (entry.actions or entry.goto is not None):
        return None
    if rng.random() < 0.1:
        return Fault(f"on a foreign table: {entry}", (), (replace(entry, table=FOREIGN_TABLE),))
    ethernet = tuple(each for each in entry.match if each[0] in ("eth_type", "in_port"))
    match = rng.choice(((), ethernet, ethernet))
    return Fault(f"for all packets {match or ''}: {entry}", (), (replace(entry, match=match, priority=_HIGHEST),))


def action_left_out(target: MutationTarget, entry: Held, rng: Random) -> Fault | None:
    """One action is missing."""
    if not isinstance(entry, FlowRule) or not entry.actions:
        return None
    index = rng.randrange(len(entry.actions))
    actions = entry.actions[:index] + entry.actions[index + 1 :]
    return Fault(f"without {entry.actions[index]}: {entry}", (entry,), (replace(entry, actions=actions),))


def wrong_forwarding(target: MutationTarget, entry: Held, rng: Random) -> Fault | None:
    """Another output port, group or table; or a drop in place of forwarding."""
    if isinstance(entry, GroupRule):
        return _in_bucket(entry, rng, lambda action: _other_destination(target, action, rng))
    if not isinstance(entry, FlowRule):
        return None
    for index, action in enumerate(entry.actions):
        other = _other_destination(target, action, rng)
        if other is not None:
            return _with_action(entry, index, other)
    if entry.goto is None:
        return None
    return Fault(f"drops: {entry}", (entry,), (replace(entry, actions=(), goto=None, metadata=None, meter=None),))


def wrong_label(target: MutationTarget, entry: Held, rng: Random) -> Fault | None:
    """Another label is pushed, or a label is popped with the wrong EtherType beneath."""

    def other(action: Action) -> Action | None:
        match action:
            case SetField(
                "mpls_label", int(label)
            ):  # VPN labels are below 10,000, transport labels above: keep to the same kind
                kind = [each for each in target.labels if each != label and (each < 10_000) is (label < 10_000)]
                return SetField("mpls_label", rng.choice(kind)) if kind else None
            case PopMpls(eth_type) if eth_type in (IPV4, IPV6):
                return PopMpls(IPV6 if eth_type == IPV4 else IPV4)
        return None

    if isinstance(entry, GroupRule):
        return _in_bucket(entry, rng, other)
    return _in_actions(entry, other) if isinstance(entry, FlowRule) else None


def wrong_mark(target: MutationTarget, entry: Held, rng: Random) -> Fault | None:
    """Another DSCP."""

    def other(action: Action) -> Action | None:
        if isinstance(action, SetField) and action.field == "ip_dscp":
            return SetField("ip_dscp", rng.choice([dscp for dscp in (0, 10, 18, 34, 46, 48) if dscp != action.value]))
        return None

    return _in_actions(entry, other) if isinstance(entry, FlowRule) else None


def wrong_metadata(target: MutationTarget, entry: Held, rng: Random) -> Fault | None:
    """One part of the metadata is written with the value of another entry of the table."""
    if not isinstance(entry, FlowRule) or entry.metadata is None:
        return None
    value, mask = entry.metadata
    part = rng.choice([each for each in (VRF, CLASS, SOURCE_ROLE, DESTINATION_ROLE, DESTINATION_VPN)
                       if each.mask & mask])  # fmt: skip
    known = {rule.metadata[0] & part.mask for rule in target.flows(entry.table) if rule.metadata is not None}
    others = sorted(known - {value & part.mask}) or [(value & part.mask) ^ (1 << part.shift)]
    other = value & ~part.mask | rng.choice(others)
    what = f"metadata {other:#x} for {value:#x}: {entry}"
    return Fault(what, (entry,), (replace(entry, metadata=(other, mask)),))


def wrong_meter(target: MutationTarget, entry: Held, rng: Random) -> Fault | None:
    """Another meter, no meter, or a meter with another rate."""
    if isinstance(entry, MeterRule):
        rate = entry.rate_kbps * 10 if rng.random() < 0.5 else max(1, entry.rate_kbps // 10)
        return Fault(f"{rate} kbit/s: {entry}", (entry,), (replace(entry, rate_kbps=rate),))
    if isinstance(entry, PacketMeterRule):
        return Fault(f"ten times the rate: {entry}", (entry,), (replace(entry, rate_pps=10 * entry.rate_pps),))
    if not isinstance(entry, FlowRule) or entry.meter is None:
        return None
    ids = [meter.id for meter in target.rules.meters if isinstance(meter, MeterRule) and meter.id != entry.meter]
    other = rng.choice([None, *ids])
    return Fault(f"meter {other} for {entry.meter}: {entry}", (entry,), (replace(entry, meter=other),))


def wrong_vlan(target: MutationTarget, entry: Held, rng: Random) -> Fault | None:
    """The VLAN of another access link, or one of none."""

    def other(action: Action) -> Action | None:
        if not (isinstance(action, SetField) and action.field == "vlan_vid"):
            return None
        used = {
            each.value for rule in target.flows(entry.table) for each in rule.actions
            if isinstance(each, SetField) and each.field == "vlan_vid" and each.value != action.value
        } if isinstance(entry, FlowRule) else set()  # fmt: skip
        return SetField("vlan_vid", rng.choice([*sorted(used, key=str), 0x1FFE]))

    return _in_actions(entry, other) if isinstance(entry, FlowRule) else None


def wrong_bucket(target: MutationTarget, entry: Held, rng: Random) -> Fault | None:
    """Buckets are exchanged, one is missing, or one watches another port."""
    if not isinstance(entry, GroupRule):
        return None
    first, *others = entry.buckets
    choices: list[tuple[str, tuple[Bucket, ...]]] = []
    if others:
        choices += [("buckets exchanged", (*others, first)), ("without its last bucket", entry.buckets[:-1])]
        choices += [("without its first bucket", tuple(others))]
    if ports := [port for port in target.ports if port != first.watch_port]:
        choices.append(("watches another port", (replace(first, watch_port=rng.choice(ports)), *others)))
    if not choices:
        return None
    what, buckets = rng.choice(choices)
    return Fault(f"{what}: {entry}", (entry,), (replace(entry, buckets=buckets),))


FAULTS: dict[Mutation, FaultFunction] = {
    Mutation.DROPPED: dropped,
    Mutation.WIDENED: widened,
    Mutation.NARROWED: narrowed,
    Mutation.SWAPPED: swapped,
    Mutation.PRIORITY: misprioritised,
    Mutation.ADDED: added,
    Mutation.ACTION: action_left_out,
    Mutation.FORWARDING: wrong_forwarding,
    Mutation.LABEL: wrong_label,
    Mutation.MARK: wrong_mark,
    Mutation.METADATA: wrong_metadata,
    Mutation.METER: wrong_meter,
    Mutation.VLAN: wrong_vlan,
    Mutation.BUCKET: wrong_bucket,
    Mutation.TTL: wrong_ttl,
    Mutation.ANSWER: wrong_answer,
    Mutation.PUNT: wrong_punt,
    Mutation.TIMEOUT: expiring,
    Mutation.PORT: wrong_port,
}
# Faults with actions that a switch accepts, but our pipeline never uses.
ANY_ACTIONS = frozenset({Mutation.TTL, Mutation.PUNT})


def _is_prefix(name: str) -> bool:
    return name.startswith(("ipv4", "ipv6", "arp"))


def _with_match(entry: FlowRule, match: tuple[object, ...]) -> FlowRule:
    return replace(entry, match=match)  # type: ignore[arg-type]


def _with_field(entry: FlowRule, index: int, value: object | None, what: str) -> Fault:
    """The entry with one match field changed, or removed if ``value`` is None."""
    name = entry.match[index][0]
    new = () if value is None else ((name, value),)
    return Fault(
        f"{what}: {entry}", (entry,), (_with_match(entry, (*entry.match[:index], *new, *entry.match[index + 1 :])),)
    )


def _instructions(rule: FlowRule) -> tuple[object, ...]:
    return rule.actions, rule.goto, rule.metadata, rule.meter


def _with_instructions(rule: FlowRule, other: FlowRule) -> FlowRule:
    """``rule`` with the instructions of ``other``."""
    return replace(rule, actions=other.actions, goto=other.goto, metadata=other.metadata, meter=other.meter)


def _with_action(entry: FlowRule, index: int, action: Action) -> Fault:
    actions = (*entry.actions[:index], action, *entry.actions[index + 1 :])
    return Fault(f"{action} for {entry.actions[index]}: {entry}", (entry,), (replace(entry, actions=actions),))


def _in_actions(entry: FlowRule, other: Callable[[Action], Action | None]) -> Fault | None:
    """The entry with the first action replaced for which ``other`` returns a different one."""
    for index, action in enumerate(entry.actions):
        if (new := other(action)) is not None and new != action:
            return _with_action(entry, index, new)
    return None


def _in_bucket(entry: GroupRule, rng: Random, other: Callable[[Action], Action | None]) -> Fault | None:
    """The group with one action of a random bucket replaced, as `_in_actions`."""
    for position in rng.sample(range(len(entry.buckets)), len(entry.buckets)):
        bucket = entry.buckets[position]
        for index, action in enumerate(bucket.actions):
            if (new := other(action)) is not None and new != action:
                actions = (*bucket.actions[:index], new, *bucket.actions[index + 1 :])
                buckets = (*entry.buckets[:position], replace(bucket, actions=actions), *entry.buckets[position + 1 :])
                return Fault(f"{new} for {action} in {entry}", (entry,), (replace(entry, buckets=buckets),))
    return None


def _other_destination(target: MutationTarget, action: Action, rng: Random) -> Action | None:
    """An action that forwards elsewhere; None where the action does not forward."""
    match action:
        case Output(port) if port != CONTROLLER:
            others = [each for each in target.ports if each != port]
            return Output(rng.choice(others)) if others else None
        case Group(id_):
            ids = [each.id for each in target.rules.groups if each.id != id_ and (each.id < 10_000) is (id_ < 10_000)]
            return Group(rng.choice(ids)) if ids else None
        case Resubmit(Table.OTHER_LINE):
            return Output(CONTROLLER)
        case Resubmit():
            return Output(rng.choice(target.ports)) if target.ports else None
    return None
