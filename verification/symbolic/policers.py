"""Whether each class of each access link is policed at the policy's rate, by the meters that its packets pass.
Policers do not show in where packets are delivered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from helsewan.controller.openflow.entries import FlowRule, MeterRule, RuleSet, SetField, Table
from helsewan.controller.openflow.pipeline import CLASS, VLAN_PRESENT
from helsewan.policies.plan import Attachment, Plan, TrafficClass
from helsewan.topology.model import TRUNK_PORT
from helsewan.verification.failures import INTACT
from helsewan.verification.findings import FindingKind, VerificationFinding
from helsewan.verification.symbolic.program import Program

_POLICED_BY = frozenset({"metadata", "vlan_vid"})
_AFTER_POLICE = frozenset({Table.ROUTE, Table.VPN, Table.DELIVER, Table.FIT, Table.OTHER_LINE})
_LONGEST_BYTES = 1_500


def unpoliced(plan: Plan, program: Program, rules: Mapping[str, RuleSet]) -> Iterator[VerificationFinding]:
    """Every class of an access link without the meter that the policy requires: it passes none, one of another rate,
    one where none is required, or one shared with another class, or bypasses its meter. Routers without rules are off,
    and skipped."""
    yield from _meter_bypasses(rules)
    users: dict[tuple[str, int], tuple[str, str]] = {}
    meters = {router: {meter.id: meter for meter in ruleset.meters} for router, ruleset in rules.items()}
    for access_link in (access_link for access_link in plan.attachments if rules[access_link.router].flows):
        if (tag := _wrong_tag(program, access_link)) is not None:
            yield _unpoliced(access_link, f"its packets have VLAN tag {tag:#x} at the meters, not its own")
        policed = dict(access_link.police)
        for cls in plan.classes:
            expected = -(-policed[cls.name] // 1000) if cls.name in policed else None
            number, ambiguous = _meter_of(program, access_link, cls)
            meter = None if number is None else meters[access_link.router].get(number)
            rate = meter.rate_kbps if isinstance(meter, MeterRule) else None
            if rate != expected or (number is not None and rate is None):
                yield _unpoliced(access_link, _describe(cls, expected, rate))
            elif ambiguous:
                yield _unpoliced(access_link, f"two entries of one priority choose the meter of class {cls.name}")
            elif isinstance(meter, MeterRule) and 1000 * meter.burst_kbit < 8 * _LONGEST_BYTES:
                yield _unpoliced(
                    access_link, f"class {cls.name} has a burst of {meter.burst_kbit} kbit: no long packet conforms"
                )
            elif number is not None:
                owner = users.setdefault((access_link.router, number), (access_link.site, cls.name))
                if owner != (access_link.site, cls.name):
                    yield _unpoliced(
                        access_link, f"class {cls.name} shares a meter with class {owner[1]} of {owner[0]}"
                    )


def _meter_bypasses(rules: Mapping[str, RuleSet]) -> Iterator[VerificationFinding]:
    """Entries by which packets pass another meter than that of their class, or none, or two."""
    for router, ruleset in rules.items():
        found: dict[tuple[Table, str], list[FlowRule]] = {}
        for rule in ruleset.flows:
            if (wrong := _bypass(rule)) is not None:
                found.setdefault((rule.table, wrong), []).append(rule)
        for (_, wrong), entries in found.items():
            where = f"{router}: {entries[0]}"
            yield VerificationFinding(
                FindingKind.UNPOLICED, INTACT.name, wrong, "", where=where, alike=len(entries) - 1
            )


def _bypass(rule: FlowRule) -> str | None:
    if rule.meter is not None and rule.table is not Table.POLICE:
        return "a meter outside the table of meters"
    if rule.table < Table.POLICE and rule.goto in _AFTER_POLICE:
        return "packets bypass the meters"
    if rule.table is Table.POLICE and not {name for name, _ in rule.match} <= _POLICED_BY:
        return "not all packets of a class pass its meter"
    if rule.table is Table.CONTRACT and rule.goto is Table.POLICE:
        marks = [each.value for each in rule.actions if isinstance(each, SetField) and each.field == "ip_dscp"]
        dscp = marks[-1] if marks else None
        value, mask = rule.metadata or (0, 0)
        if not isinstance(dscp, int) or (value & CLASS.mask, mask & CLASS.mask) != CLASS.of(dscp):
            return "packets pass the meter of another class than that of their DSCP"
    return None


def _meter_of(program: Program, access_link: Attachment, cls: TrafficClass) -> tuple[int | None, bool]:
    """The id of the meter that packets of a class pass, and whether entries of equal priority name different ones."""
    entries = program.tables[access_link.router].get(Table.POLICE)
    values = {"metadata": CLASS.of(cls.dscp)[0], "vlan_vid": access_link.vlan | VLAN_PRESENT}
    candidates = [] if entries is None else entries.candidates(lambda name: values.get(name, 0))
    if not candidates:
        return None, False
    alike = {entry.rule.meter for entry in candidates if entry.priority == candidates[0].priority}
    return candidates[0].rule.meter, len(alike) > 1


def _wrong_tag(program: Program, access_link: Attachment) -> int | None:
    """The VLAN tag with which packets leave the first table if it is not that of their access link; None otherwise."""
    port, own = (
        program.network.access_link_ports[access_link.router].get(access_link.number),
        access_link.vlan | VLAN_PRESENT,
    )
    values = {"in_port": port or TRUNK_PORT, "vlan_vid": 0 if port else own}
    entries = program.tables[access_link.router].get(Table.ADMIT)
    for entry in [] if entries is None else entries.candidates(lambda name: values.get(name, 0)):
        if entry.rule.goto is Table.VRF:
            tags = [
                each.value for each in entry.rule.actions if isinstance(each, SetField) and each.field == "vlan_vid"
            ]
            tag = tags[-1] if tags else values["vlan_vid"]
            if isinstance(tag, int) and tag != own:
                return tag
    return None


def _describe(cls: TrafficClass, rate_kbps: int | None, meter_kbps: int | None) -> str:
    required = "is not policed" if rate_kbps is None else f"is policed at {rate_kbps} kbit/s"
    actual = "no meter" if meter_kbps is None else f"a meter of {meter_kbps} kbit/s"
    return f"class {cls.name} {required}; its packets pass {actual}"


def _unpoliced(access_link: Attachment, what: str) -> VerificationFinding:
    return VerificationFinding(
        FindingKind.UNPOLICED,
        INTACT.name,
        f"access link {access_link.site} {int(access_link.backup)}: {what}",
        "",
        site=access_link.site,
        access_link=int(access_link.backup),
        where=f"{access_link.router}, table police",
    )
