"""Packets that a switch sends to the controller: exactly those that it cannot forward, so that its slow path answers
them with ICMP errors, and ICMP errors of sites, which it passes on where they are about allowed traffic; at a limited
rate, and never copies of others."""

from __future__ import annotations

from collections.abc import Iterator

from helsewan.controller.openflow.entries import CONTROLLER, Action, FlowRule, Load, Output, RuleSet, Table
from helsewan.controller.openflow.pipeline import Drop, Purpose, cookie
from helsewan.controller.rules.contracts import error_rules
from helsewan.controller.rules.mtu import MTU_REGISTER
from helsewan.controller.rules.punt import PUNT_METER
from helsewan.verification.failures import INTACT
from helsewan.verification.findings import FindingKind, VerificationFinding

# Where packets that no entry forwards are sent to the controller, and why.
_MISSES = {Table.VRF: Drop.NO_ROUTE, Table.ROUTE: Drop.NO_PATH, Table.OTHER_LINE: Drop.NO_LINE}
_TO_CONTROLLER = Output(CONTROLLER)
_ICMP_ERRORS = frozenset(error_rules())  # of sites: the slow path passes on those about allowed traffic


def wrong_punts(router: str, held: RuleSet) -> Iterator[VerificationFinding]:
    """Entries that send other packets to the controller than they should, or do not send what they should."""
    for rule in held.flows:
        if (reason := _wrong(rule)) is not None:
            yield _finding(reason, f"{router}: {rule}")
    for group in held.groups:
        for bucket in group.buckets:
            if _TO_CONTROLLER in bucket.actions and bucket.actions != (_TO_CONTROLLER,):
                yield _finding("a bucket copies packets to the controller", f"{router}: {group}")
    for table, drop in _MISSES.items():
        if not any(_is_miss(rule, table) and rule.actions == (_TO_CONTROLLER,) for rule in held.flows):
            what = drop.name.lower().replace("_", " ")
            yield _finding(
                f"packets with {what} are not sent to the controller, so no error answers them", router, table
            )
    if PUNT_METER not in held.meters:
        yield _finding(f"the rate of packets to the controller is not limited by {PUNT_METER}", router)


def _is_miss(rule: FlowRule, table: Table) -> bool:
    return rule.table is table and not rule.match and rule.priority == 0


def _wrong(rule: FlowRule) -> str | None:
    """Why an entry may not send packets to the controller as it does; None if it may, or does not."""
    if _TO_CONTROLLER not in rule.actions:
        return None
    *before, last = rule.actions
    if last != _TO_CONTROLLER or before.count(_TO_CONTROLLER) or rule.goto is not None or not _is_harmless(before):
        return "the entry copies packets to the controller"
    if rule.cookie == cookie(Purpose.DROP, Drop.TOO_LONG) and rule.table is Table.FIT:
        return None
    if rule in _ICMP_ERRORS:
        return None
    reason = _MISSES.get(rule.table)
    if reason is None or not _is_miss(rule, rule.table) or rule.cookie != cookie(Purpose.DROP, reason):
        return "the entry sends packets to the controller that no error should answer"
    return None


def _is_harmless(before: list[Action]) -> bool:
    """Whether actions only say which MTU a packet exceeds."""
    return all(isinstance(action, Load) and action.field == MTU_REGISTER for action in before)


def _finding(reason: str, where: str, table: Table | None = None) -> VerificationFinding:
    at = where if table is None else f"{where}, table {table.name.lower()}"
    return VerificationFinding(FindingKind.PUNT, INTACT.name, reason, "", where=at)
