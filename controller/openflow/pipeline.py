"""The pipeline as data: what each table may match and do, its possible next tables, and the layout of the metadata.

    from a site: admit -> vrf -> contract -> police -> route -> (group) -> link, or deliver
                 admit -> neighbour
    from a link: admit -> core -> (group) -> link, or vpn -> deliver
    deliver -> fit, for an access link with a smaller MTU
    deliver -> (group) -> access link, or, while a dual-homed site's is down, other_line -> (group) -> link

`check` raises for an entry that violates this; an entry that passes is also accepted by a switch.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from helsewan.controller.openflow.entries import (
    MPLS,
    Action,
    AnyMeter,
    CheckLarger,
    DecMplsTtl,
    DecTtl,
    FlowRule,
    Group,
    GroupRule,
    Load,
    Match,
    Move,
    Output,
    PacketMeterRule,
    PopMpls,
    PopVlan,
    PushMpls,
    PushVlan,
    Resubmit,
    SetField,
    Table,
)
from helsewan.controller.openflow.label_stack import label_error
from helsewan.controller.openflow.prerequisites import missing_prerequisite

VLAN_PRESENT = 0x1000  # OFPVID_PRESENT


class PipelineError(ValueError):
    """An entry that the pipeline does not allow: a defect of the program, not of the user's input."""


@dataclass(frozen=True, slots=True)
class FieldPart:
    """A bit range of the 64-bit metadata that carries one number from table to table."""

    shift: int
    bits: int = 16

    @property
    def mask(self) -> int:
        """The metadata bits of this range."""
        return ((1 << self.bits) - 1) << self.shift

    def of(self, number: int) -> tuple[int, int]:
        """``number`` in this range as (value, mask) of the metadata.

        Raises PipelineError if it does not fit."""
        if not 0 <= number < 1 << self.bits:
            raise PipelineError(f"{number} does not fit into {self.bits} bits of metadata")
        return number << self.shift, self.mask


VRF = FieldPart(0, 10)  # number of the source's VPN
CLASS = FieldPart(10, 6)  # DSCP of the traffic class
SOURCE_ROLE = FieldPart(16)
DESTINATION_ROLE = FieldPart(32)
DESTINATION_VPN = FieldPart(48, 15)
DIVERTED = FieldPart(63, 1)  # 1: diverted by the router of the site's other access link, which is down


def joined(*parts: tuple[int, int]) -> tuple[int, int]:
    """Combines several (value, mask) pairs."""
    value = mask = 0
    for part_value, part_mask in parts:
        value, mask = value | part_value, mask | part_mask
    return value, mask


class Purpose(IntEnum):
    """The purpose of an entry, in the top byte of its cookie; the low 32 bits contain a number specific to it."""

    PASS = 1  # continues; no number
    ACCESS_LINK = 2  # number: index of the attachment in the plan
    CONTRACT = 3  # number: id of the contract
    ROUTE = 4  # number: index of the egress set
    LABEL = 5  # number: the label
    DROP = 6  # number: a Drop


class Drop(IntEnum):
    """Why a packet was dropped. Each reason has rules of its own, whose counters count it."""

    UNKNOWN_LINE = 1  # from the trunk, on a VLAN without access link
    SPOOFED = 2  # the source address is not in the site's prefixes
    NOT_IP = 3  # from a site, neither IP nor an ARP request for the gateway
    LINK_LOCAL = 4  # from a link-local or unspecified address, and no solicitation for the gateway
    NOT_LABELLED = 5  # from a link, without a label
    NO_ROUTE = 6  # the VRF has no route to the destination
    NO_CONTRACT = 7  # neither permitted by a contract nor a reply
    FRAGMENT = 8  # its ports cannot be matched
    NO_PATH = 9  # no egress router can be reached, or an unused address of a role's prefix
    NO_LABEL = 10  # unknown transport label
    NO_VPN = 11  # unknown VPN label
    NOT_HERE = 12  # from the core, but its destination is no site of this router
    TOO_LONG = 13  # longer than the MTU of the access link
    NO_LINE = 14  # both access links of a dual-homed site are down
    ICMP_ERROR = 15  # an error that no contract allows; the slow path passes it on if it is about allowed traffic


def cookie(purpose: int, number: int = 0) -> int:
    """The cookie of an entry."""
    return purpose << 56 | number


def purpose_of(value: int) -> tuple[Purpose, int]:
    """(purpose, number) of a cookie. Raises ValueError for an unknown purpose."""
    return Purpose(value >> 56), value & 0xFFFFFFFF


def drop_rule(table: Table, priority: int, match: Match, reason: Drop) -> FlowRule:
    """A rule that drops and counts packets."""
    return FlowRule(table, priority, match, cookie=cookie(Purpose.DROP, reason))


@dataclass(frozen=True)
class TableSpec:
    """What entries of a table may match (fields), do (actions, fields to set, metadata bits to write, meters) and
    continue with (tables)."""

    match: frozenset[str]
    actions: frozenset[type[Action]] = frozenset()
    sets: frozenset[str] = frozenset()
    leads_to: frozenset[Table] = frozenset()
    writes: int = 0
    meters: bool = False


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


PIPELINE: dict[Table, TableSpec] = {
    Table.ADMIT: TableSpec(
        match=_names(
            "in_port vlan_vid eth_type ipv4_src ipv4_dst ipv6_src ipv6_dst ip_proto icmpv4_type icmpv6_type"
            " ipv6_nd_target arp_op arp_spa arp_tpa"
        ),
        actions=frozenset({Move, SetField, PushVlan, Output}),
        sets=_names(
            "vlan_vid eth_src eth_dst arp_op arp_sha arp_tha arp_spa arp_tpa ipv4_src ipv4_dst icmpv4_type"
            " ipv6_src ipv6_dst icmpv6_type nd_reserved nd_options_type"
        ),
        leads_to=frozenset({Table.VRF, Table.CORE, Table.NEIGHBOUR}),
        writes=VRF.mask | SOURCE_ROLE.mask,
    ),
    Table.VRF: TableSpec(
        match=_names("metadata eth_type ipv4_dst ipv6_dst"),
        actions=frozenset({Output}),
        leads_to=frozenset({Table.CONTRACT}),
        writes=DESTINATION_ROLE.mask | DESTINATION_VPN.mask,
    ),
    Table.CONTRACT: TableSpec(
        match=_names(
            "metadata eth_type ip_frag ip_dscp ip_proto tcp_src tcp_dst udp_src udp_dst sctp_src sctp_dst"
            " tcp_flags_nxm icmpv4_type icmpv6_type"
        ),
        actions=frozenset({SetField, Output}),
        sets=_names("ip_dscp"),
        leads_to=frozenset({Table.POLICE}),
        writes=CLASS.mask,
    ),
    Table.POLICE: TableSpec(match=_names("metadata vlan_vid"), leads_to=frozenset({Table.ROUTE}), meters=True),
    Table.ROUTE: TableSpec(
        match=_names("metadata vlan_vid eth_type ipv4_dst ipv6_dst"),
        actions=frozenset({PopVlan, DecTtl, Move, PushMpls, SetField, Group, Output}),
        sets=_names("reg0 mpls_label mpls_tc"),
        leads_to=frozenset({Table.DELIVER}),
    ),
    Table.CORE: TableSpec(
        match=_names("eth_type mpls_label"),
        actions=frozenset({DecMplsTtl, Move, PopMpls, Output, Group}),
        sets=_names("reg0 reg1 mpls_ttl"),
        leads_to=frozenset({Table.VPN}),
    ),
    Table.VPN: TableSpec(
        match=_names("eth_type mpls_label mpls_bos"),
        actions=frozenset({Move, PopMpls}),
        sets=_names("reg1 nw_ttl"),
        leads_to=frozenset({Table.DELIVER}),
        writes=DESTINATION_VPN.mask | DIVERTED.mask,
    ),
    Table.DELIVER: TableSpec(
        match=_names("metadata eth_type ipv4_dst ipv6_dst"),
        actions=frozenset({DecTtl, CheckLarger, SetField, PushVlan, Load, Output, Group}),
        sets=_names("reg2 eth_src eth_dst vlan_vid in_port_nxm"),
        leads_to=frozenset({Table.FIT}),
    ),
    Table.FIT: TableSpec(
        match=_names("metadata eth_type ipv4_dst ipv6_dst reg2"),
        actions=frozenset({SetField, PushVlan, Load, Output, Group}),
        sets=_names("reg1 eth_src eth_dst vlan_vid in_port_nxm"),
    ),
    Table.NEIGHBOUR: TableSpec(
        match=_names("eth_type ip_proto icmpv6_type"),
        actions=frozenset({SetField, Output}),
        sets=_names("ipv6_nd_tll"),
    ),
    Table.OTHER_LINE: TableSpec(
        match=_names("metadata eth_type ipv4_dst ipv6_dst"),
        actions=frozenset({Move, PushMpls, SetField, Group, Output}),
        sets=_names("reg0 mpls_label mpls_tc"),
    ),
}

BUCKET = TableSpec(
    match=frozenset(),
    actions=frozenset({PushMpls, Move, PopMpls, SetField, Load, Output, Resubmit}),
    sets=_names("mpls_label in_port_nxm mpls_ttl eth_src eth_dst"),
    leads_to=frozenset({Table.VPN, Table.OTHER_LINE}),
)
_LABELLED = (("eth_type", MPLS),)  # known of every packet that is sent to a group


def check(entry: FlowRule | GroupRule | AnyMeter) -> None:
    """Raises PipelineError if the pipeline does not allow ``entry``."""
    if isinstance(entry, FlowRule):
        _check_flow(entry, PIPELINE[entry.table])
    elif isinstance(entry, GroupRule):
        for bucket in entry.buckets:
            _check_actions(entry, bucket.actions, BUCKET)
        _check_labels(entry)
        for bucket in entry.buckets:
            _check_prerequisites(entry, missing_prerequisite((), bucket.actions, _LABELLED))
    elif min(_limits(entry)) <= 0:
        raise PipelineError(f"{entry}: a meter needs a rate and a burst")


def _limits(meter: AnyMeter) -> tuple[int, int]:
    """Rate and burst of a meter, in its own units."""
    if isinstance(meter, PacketMeterRule):
        return meter.rate_pps, meter.burst_packets
    return meter.rate_kbps, meter.burst_kbit


def _check_flow(rule: FlowRule, spec: TableSpec) -> None:
    if unknown := dict(rule.match).keys() - spec.match:
        raise PipelineError(f"{rule}: this table does not match {', '.join(sorted(unknown))}")
    _check_actions(rule, rule.actions, spec)
    if rule.goto is not None and (rule.goto not in spec.leads_to or rule.goto <= rule.table):
        raise PipelineError(f"{rule}: goto from this table is not allowed")
    if rule.metadata is not None and rule.metadata[1] & ~spec.writes:
        raise PipelineError(f"{rule}: this table does not write that metadata")
    if rule.metadata is not None and rule.metadata[0] & ~rule.metadata[1]:
        raise PipelineError(f"{rule}: metadata outside its mask")
    if rule.meter is not None and not spec.meters:
        raise PipelineError(f"{rule}: this table has no meters")
    _check_labels(rule)
    _check_prerequisites(rule, missing_prerequisite(rule.match, rule.actions))


def _check_labels(entry: FlowRule | GroupRule) -> None:
    if error := label_error(entry):
        raise PipelineError(f"{entry}: {error}")


def _check_prerequisites(entry: FlowRule | GroupRule, error: str | None) -> None:
    if error:
        raise PipelineError(f"{entry}: {error}")


def _check_actions(entry: FlowRule | GroupRule, actions: tuple[Action, ...], spec: TableSpec) -> None:
    for action in actions:
        if type(action) not in spec.actions:
            raise PipelineError(f"{entry}: {type(action).__name__} is not allowed here")
        if isinstance(action, Resubmit) and action.table not in spec.leads_to:
            raise PipelineError(f"{entry}: resubmit to table {action.table.name.lower()} is not allowed here")
        changed = (
            action.field
            if isinstance(action, SetField | Load)
            else action.destination
            if isinstance(action, Move)
            else action.register
            if isinstance(action, CheckLarger)
            else None
        )
        if changed is not None and changed not in spec.sets:
            raise PipelineError(f"{entry}: setting {changed} is not allowed here")
