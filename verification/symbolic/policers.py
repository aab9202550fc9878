"""Whether each class of each access link is policed at the policy's rate: by the meters that its packets pass, which
delivery does not show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from helsewan.controller.openflow.entries import FlowRule, MeterRule, RuleSet, SetField, Table
from helsewan.controller.openflow.pipeline import CLASS, VLAN_PRESENT
from helsewan.policies.plan import Attachment, Plan, TrafficClass
from helsewan.topology.model import TRUNK_PORT
from helsewan.verification.failures import INTACT
from helsewan.verification.findings import Finding, Kind
from helsewan.verification.symbolic.program import Program

_POLICED_BY = frozenset({"metadata", "vlan_vid"})
_AFTER_POLICE = frozenset({Table.ROUTE, Table.VPN, Table.DELIVER, Table.FIT, Table.OTHER_LINE})
_LONGEST_BYTES = 1_500


def unpoliced(plan: Plan, program: Program, rules: Mapping[str, RuleSet]) -> Iterator[Finding]:
    """Every class of a line that passes a meter of another rate than its policer's, or none, or one where none is
    wanted, shares one, or comes by it. Routers without any rules, for they are off, let nothing pass."""
    yield from _past_meters(rules)
    taken: dict[tuple[str, int], tuple[str, str]] = {}
    meters = {router: {meter.id: meter for meter in held.meters} for router, held in rules.items()}
    for line in (line for line in plan.attachments if rules[line.router].flows):
        if (tag := _wrong_tag(program, line)) is not None:
            yield _finding(line, f"its packets have tag {tag:#x} at the meters, not its own")
        policed = dict(line.police)
        for cls in plan.classes:
            wanted = -(-policed[cls.name] // 1000) if cls.name in policed else None
            number, disputed = _meter_met(program, line, cls)
            meter = None if number is None else meters[line.router].get(number)
            rate = meter.rate_kbps if isinstance(meter, MeterRule) else None
            if rate != wanted or (number is not None and rate is None):
                yield _finding(line, _held(cls, wanted, rate))
            elif disputed:
                yield _finding(line, f"two entries of one priority choose the meter of class {cls.name}")
            elif isinstance(meter, MeterRule) and 1000 * meter.burst_kbit < 8 * _LONGEST_BYTES:
                yield _finding(line, f"class {cls.name} has a burst of {meter.burst_kbit} kbit: no long packet passes")
            elif number is not None:
                owner = taken.setdefault((line.router, number), (line.site, cls.name))
                if owner != (line.site, cls.name):
                    yield _finding(line, f"class {cls.name} shares a meter with class {owner[1]} of {owner[0]}")


def _past_meters(rules: Mapping[str, RuleSet]) -> Iterator[Finding]:
    """Entries by which packets come to another meter than that of their class, or to none, or to two."""
    for router, held in rules.items():
        found: dict[tuple[Table, str], list[FlowRule]] = {}
        for rule in held.flows:
            if (wrong := _goes_past(rule)) is not None:
                found.setdefault((rule.table, wrong), []).append(rule)
        for (_, wrong), entries in found.items():
            where = f"{router}: {entries[0]}"
            yield Finding(Kind.UNPOLICED, INTACT.name, wrong, "", where=where, alike=len(entries) - 1)


def _goes_past(rule: FlowRule) -> str | None:
    if rule.meter is not None and rule.table is not Table.POLICE:
        return "a meter where none is wanted"
    if rule.table < Table.POLICE and rule.goto in _AFTER_POLICE:
        return "packets go past the meters"
    if rule.table is Table.POLICE and not {name for name, _ in rule.match} <= _POLICED_BY:
        return "not all packets of a class come to its meter"
    if rule.table is Table.CONTRACT and rule.goto is Table.POLICE:
        marks = [each.value for each in rule.actions if isinstance(each, SetField) and each.field == "ip_dscp"]
        dscp = marks[-1] if marks else None
        value, mask = rule.metadata or (0, 0)
        if not isinstance(dscp, int) or (value & CLASS.mask, mask & CLASS.mask) != CLASS.of(dscp):
            return "packets come to the meter of another class than that of their mark"
    return None


def _meter_met(program: Program, line: Attachment, cls: TrafficClass) -> tuple[int | None, bool]:
    """The number of the meter that a line's packets of a class go through, and whether another entry disputes it."""
    entries = program.tables[line.router].get(Table.POLICE)
    noted = {"metadata": CLASS.of(cls.dscp)[0], "vlan_vid": line.vlan | VLAN_PRESENT}
    met = [] if entries is None else entries.met_by(lambda name: noted.get(name, 0))
    if not met:
        return None, False
    alike = {entry.rule.meter for entry in met if entry.priority == met[0].priority}
    return met[0].rule.meter, len(alike) > 1


def _wrong_tag(program: Program, line: Attachment) -> int | None:
    """Another tag than a line's own, with which its packets go on from the first table; None if there is none."""
    port, own = program.network.access_link_ports[line.router].get(line.number), line.vlan | VLAN_PRESENT
    noted = {"in_port": port or TRUNK_PORT, "vlan_vid": 0 if port else own}
    entries = program.tables[line.router].get(Table.ADMIT)
    for entry in [] if entries is None else entries.met_by(lambda name: noted.get(name, 0)):
        if entry.rule.goto is Table.VRF:
            tags = [
                each.value for each in entry.rule.actions if isinstance(each, SetField) and each.field == "vlan_vid"
            ]
            tag = tags[-1] if tags else noted["vlan_vid"]
            if isinstance(tag, int) and tag != own:
                return tag
    return None


def _held(cls: TrafficClass, wanted: int | None, rate: int | None) -> str:
    said = "is not policed" if wanted is None else f"is held to {wanted} kbit/s"
    done = "through no meter" if rate is None else f"through a meter of {rate} kbit/s"
    return f"class {cls.name} {said}; its packets go {done}"


def _finding(line: Attachment, what: str) -> Finding:
    return Finding(
        Kind.UNPOLICED,
        INTACT.name,
        f"line {line.site} {int(line.backup)}: {what}",
        "",
        site=line.site,
        line=int(line.backup),
        where=f"{line.router}, table police",
    )
