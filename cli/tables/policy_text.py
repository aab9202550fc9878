"""``helsewan policy check`` and ``diff``: a policy's summary, and the differences between two."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from helsewan.common.terminal.screen import Screen
from helsewan.policies.analysis.changes import changes
from helsewan.policies.analysis.semantic_diff import Change, Effect, semantic_diff
from helsewan.policies.language.timestamps import shown
from helsewan.policies.plan import ExceptionState, Plan
from helsewan.topology.model import Region

_VERBS = {Change.OPENED: ("+", "may open"), Change.CLOSED: ("-", "may no longer open")}
_MOST_REGIONS = 4  # pairs of regions named; more are counted


def show_policy(plan: Plan) -> None:
    """Print one line with the policy's size, and one for each exception and each remark."""
    excepted = {each.name for each in plan.exceptions}
    entries = len({contract.name for contract in plan.contracts} - excepted)
    _print(
        f"{plan.policy}: {_many(len(plan.vpns), 'VPN')}, {_many(len(plan.roles), 'role')}, "
        f"{_many(entries, 'contract')} for {_many(len(plan.contracts), 'combination')} of roles and services, "
        f"{_many(len(plan.services), 'service')} in {_many(len(plan.classes), 'class', 'classes')}"
        f"{_exceptions(plan)}, on {_many(len(plan.network.sites), 'site')}"
    )
    for each in plan.exceptions:
        begins = f"from {shown(each.begins)} " if each.begins else ""
        when = f"{each.state.value}: {begins}until {shown(each.ends)}"
        _print(f"exception {each.name}, {when}: {each.reason} ({each.source})")
    for remark in plan.remarks:
        _print(f"remark: {remark}")


def show_difference(before: Plan, after: Plan, as_json: bool = False) -> None:
    """Print the differences in the text, then the differences in effect; or both as JSON."""
    if as_json:
        print(json.dumps(_difference(before, after), indent=2, ensure_ascii=False))
        return
    for line in changes(before.source, after.source):
        _print(line)
    found = semantic_diff(before, after)
    for effect in found.effects:
        _print(_effect(effect))
    more, less, other = (found.pairs[change] for change in (Change.OPENED, Change.CLOSED, Change.CLASS))
    changed = f", {_many(other, 'pair')} use a changed class" if other else ""
    _print(
        f"on {_many(len(before.network.sites), 'site')}: {_many(more, 'pair')} of sites may open more, "
        f"{_many(less, 'pair')} may open less{changed}"
    )


def _difference(before: Plan, after: Plan) -> dict[str, Any]:
    """The differences as plain data."""
    found = semantic_diff(before, after)
    return {
        "before": {"policy": before.policy, "version": before.digest},
        "after": {"policy": after.policy, "version": after.digest},
        "sites": len(before.network.sites),
        "changes": list(changes(before.source, after.source)),
        "effects": [
            {
                "change": each.change.value,
                "client": each.client.value,
                "server": each.server.value,
                "services": list(each.services),
                "pairs": [
                    {"from": here.value, "to": there.value, "count": count}
                    for (here, there), count in sorted(each.pairs.items())
                ],
            }
            for each in found.effects
        ],
        "pairs": {change.value: count for change, count in found.pairs.items()},
    }


def _exceptions(plan: Plan) -> str:
    """The number of exceptions; empty where there are none."""
    in_force = sum(each.state is ExceptionState.IN_FORCE for each in plan.exceptions)
    return f", {_many(len(plan.exceptions), 'exception')} ({in_force} in force)" if plan.exceptions else ""


def _effect(effect: Effect) -> str:
    client, server, services = effect.client.value, effect.server.value, ", ".join(effect.services)
    if effect.change is Change.CLASS:
        return f"~ {client} to {server}: {'; '.join(effect.services)}: {_regions(effect.pairs)}"
    sign, can = _VERBS[effect.change]
    return f"{sign} {client} {can} {services} to {server}: {_regions(effect.pairs)}"


def _regions(pairs: Mapping[tuple[Region, Region], int]) -> str:
    """The number of pairs of sites, and their regions unless they are many."""
    count = _many(sum(pairs.values()), "pair")
    if len(pairs) > _MOST_REGIONS:
        within = all(here is there for here, there in pairs)
        return f"{count}, each in one region" if within else count
    named = (here.value if here is there else f"{here.value} to {there.value}" for here, there in sorted(pairs))
    return f"{count}, {', '.join(named)}"


def _many(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _print(line: str) -> None:
    Screen().print(line, markup=False, soft_wrap=True)
