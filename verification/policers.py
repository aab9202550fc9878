"""Whether each class of each access line is held to the rate that the policy gives it: by the meters that its packets
go through, which what is delivered does not show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controller.pipeline import CLASS, VLAN_PRESENT
from controller.rules import MeterRule, RuleSet, Table
from policies.plan import Attachment, Plan, TrafficClass
from verification.failures import INTACT
from verification.findings import Finding, Kind
from verification.program import Program


def unpoliced(plan: Plan, program: Program, rules: Mapping[str, RuleSet]) -> Iterator[Finding]:
    """Every class of a line that passes a meter of another rate than its policer's, or none, or one where none is
    wanted. Routers without any rules, for they are off, let nothing pass."""
    meters = {router: {meter.id: meter for meter in held.meters} for router, held in rules.items()}
    for line in (line for line in plan.attachments if rules[line.router].flows):
        policed = dict(line.police)
        for cls in plan.classes:
            wanted = -(-policed[cls.name] // 1000) if cls.name in policed else None
            number = _meter_met(program, line, cls)
            meter = None if number is None else meters[line.router].get(number)
            rate = meter.rate_kbps if isinstance(meter, MeterRule) else None
            if rate != wanted or (number is not None and rate is None):
                yield _finding(line, cls, wanted, rate)


def _meter_met(program: Program, line: Attachment, cls: TrafficClass) -> int | None:
    """The number of the meter that a line's packets of a class go through."""
    entries = program.tables[line.router].get(Table.POLICE)
    noted = {"metadata": CLASS.of(cls.dscp)[0], "vlan_vid": line.vlan | VLAN_PRESENT}
    met = [] if entries is None else entries.met_by(lambda name: noted.get(name, 0))
    return met[0].rule.meter if met else None


def _finding(line: Attachment, cls: TrafficClass, wanted: int | None, rate: int | None) -> Finding:
    said = "is not policed" if wanted is None else f"is held to {wanted} kbit/s"
    done = "through no meter" if rate is None else f"through a meter of {rate} kbit/s"
    says = f"class {cls.name} of line {line.site} {int(line.backup)} {said}; its packets go {done}"
    return Finding(
        Kind.UNPOLICED,
        INTACT.name,
        says,
        "",
        site=line.site,
        line=int(line.backup),
        where=f"{line.router}, table police",
    )
