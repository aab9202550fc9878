"""Checks of selectors: values that no site has, and selectors that select no site.

A value is known if a site of this network has it, or if the national network defines it: the policies of the library
name kinds, regions and tags that a smaller network need not have. Unknown values are errors everywhere. A selector of
known values that selects no site is an error where its entry would then state nothing (quarantines, exceptions), and
where each key alone selects sites; otherwise it is a remark, because the network may lack such sites by design.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from helsewan.common.schema_errors import nearest
from helsewan.common.suggestions import closest
from helsewan.policies.language.policy_report import Path, PolicyReport
from helsewan.policies.language.schema import ContractSpec, PolicySpec, Selector
from helsewan.policies.passes.selection import Population
from helsewan.topology.national.reference_data import reference_data

_NEEDED = {
    "quarantine": "a quarantine without sites cuts off nobody",
    "exceptions": "an exception without sites opens nothing",
}


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value of a selector that no site has: its key, its place in the key's list, and a hint."""

    key: str
    place: int
    value: str
    reason: str
    hint: str


def unknown_values(selector: Selector, population: Population) -> Iterator[Unknown]:
    """The tags, tiers and site ids in ``selector`` that neither this network nor the national one has; of site ids,
    those that are not in this network. Kinds and regions are checked by the schema."""
    hospitals = reference_data().hospitals
    for key, name, here, elsewhere in (
        ("tags", "tag", population.tags, _national_tags()),
        ("tier", "tier", population.tiers - {""}, {"", *(hospital.tier for hospital in hospitals)}),
        ("site", "site", population.network.site.keys(), frozenset[str]()),
    ):
        for place, value in enumerate(getattr(selector, key)):
            if value not in here and value not in elsewhere:
                reason = "is no site of this network" if key == "site" else f"is a {name} of no site"
                yield Unknown(key, place, value, reason, _hint(value, here, elsewhere))


def _hint(value: str, here: Collection[str], elsewhere: Iterable[str]) -> str:
    """The known value that resembles ``value`` or, if none does, those of this network."""
    if close := closest(value, chain(here, elsewhere)):
        return f"did you mean {close!r}?"
    return nearest(value, here) if here else "no site of this network has one"


def why_nobody(selector: Selector, population: Population) -> tuple[str, bool]:
    """Why ``selector``, whose values are known, selects no site: the reason, and whether each key alone selects some,
    so that the keys contradict each other."""
    given = {key: getattr(selector, key) for key in Selector.model_fields if getattr(selector, key)}
    empty = [key for key, values in given.items() if not population.select(Selector.model_validate({key: values}))]
    shown = [f"{key} {' or '.join(str(getattr(each, 'value', each)) for each in given[key])}" for key in empty or given]
    if empty:
        return f"selects no site of this network: none has {' or '.join(shown)}", False
    return f"selects no site of this network: none has both {' and '.join(shown)}", True


def check_selectors(spec: PolicySpec, population: Population, report: PolicyReport) -> None:
    """Report unknown values in selectors, and selectors that select no site; see above for which of these are
    errors."""
    for path, selector in _selectors(spec):
        unknown = list(unknown_values(selector, population))
        for each in unknown:
            report.add((*path, each.key, each.place), each.value, each.reason, each.hint)
        if unknown or population.select(selector):
            continue
        reason, contradicts = why_nobody(selector, population)
        if path[0] in _NEEDED:
            report.add(path, None, reason, _NEEDED[str(path[0])])
        elif contradicts and (selector.tags or selector.tier):
            report.add(path, None, reason, "correct one of them, or leave it out")
        else:
            report.remark(path, reason)


def granting(spec: PolicySpec) -> Iterator[tuple[tuple[str, str], ContractSpec]]:
    """The contracts, then the exceptions, each with its path."""
    yield from ((("contracts", name), contract) for name, contract in spec.contracts.items())
    yield from ((("exceptions", name), exception) for name, exception in spec.exceptions.items())


def _selectors(spec: PolicySpec) -> Iterator[tuple[Path, Selector]]:
    for name, vpn in spec.vpns.items():
        yield ("vpns", name, "members"), vpn.members
        if vpn.hub is not None:
            yield ("vpns", name, "hub"), vpn.hub
    for path, contract in granting(spec):
        yield (*path, "from"), contract.client
        yield (*path, "to"), contract.server
    if spec.internet is not None:
        yield ("internet", "at"), spec.internet.at
    for name, quarantine in spec.quarantine.items():
        yield ("quarantine", name, "sites"), quarantine.sites


def _national_tags() -> frozenset[str]:
    data = reference_data()
    trusts = frozenset(hospital.trust for hospital in data.hospitals)
    return trusts.union(*(facility.tags for facility in (*data.services, *data.datacentres)))
