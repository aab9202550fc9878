"""Policies with one fault each, as a typical mistake in the file would make it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from helsewan.common.errors import InputError
from helsewan.policies.compile import Policy, compile_policy
from helsewan.policies.language.ports import MAX_PORT
from helsewan.policies.language.schema import ContractSpec, PoliceStep, PolicySpec, Selector, ServiceSpec, VpnSpec
from helsewan.policies.plan import Plan
from helsewan.topology.model import Kind, Network, Region

_TRIES = 12  # random faults of one kind before the kind counts as exhausted


@dataclass(frozen=True, slots=True)
class PolicyMutant:
    """A fault in a policy: its kind, a description, and the resulting plan; or the reason why the compiler refuses
    it."""

    kind: str
    what: str
    plan: Plan | None
    refusal: str = ""


def policy_mutants(policy: Policy, network: Network, number: int, seed: int) -> tuple[PolicyMutant, ...]:
    """``number`` different faults, evenly over their kinds; fewer if there are no more."""
    rng, found = Random(seed), dict[str, PolicyMutant]()
    kinds = dict(FAULTS)
    while kinds and len(found) < number:
        for kind in list(kinds):
            mutant = next(_compiled(kind, policy, network, rng, found), None)
            if mutant is None:
                del kinds[kind]
            elif len(found) < number:
                found[mutant.what] = mutant
    return tuple(found.values())


def _compiled(
    kind: str, policy: Policy, network: Network, rng: Random, known: dict[str, PolicyMutant]
) -> Iterator[PolicyMutant]:
    for _ in range(_TRIES):
        fault = FAULTS[kind](policy.spec, rng)
        if fault is None:
            continue
        what, spec = fault
        if what in known:
            continue
        try:
            yield PolicyMutant(kind, what, compile_policy(replace(policy, spec=spec), network))
        except InputError as error:
            yield PolicyMutant(kind, what, None, str(error.problems[0]))


PolicyFault = tuple[str, PolicySpec] | None  # a description and the faulty policy; None: not possible here
Change = tuple[str, dict[str, Any]] | None  # a description and the fields to update; None: not possible here


def contract_removed(spec: PolicySpec, rng: Random) -> PolicyFault:
    """One contract is missing."""
    name = rng.choice(list(spec.contracts))
    contracts = {each: contract for each, contract in spec.contracts.items() if each != name}
    return f"without contract {name}", spec.model_copy(update={"contracts": contracts})


def contract_added(spec: PolicySpec, rng: Random) -> PolicyFault:
    """One more contract, with the clients, servers and services of three others."""
    clients, servers, services = (rng.choice(list(spec.contracts.values())) for _ in range(3))
    update = {"client": clients.client, "server": servers.server, "same_region": False}
    contract = services.model_copy(update=update)
    what = f"anew: {_in_words(clients.client)} may open {', '.join(services.services)} to {_in_words(servers.server)}"
    return what, spec.model_copy(update={"contracts": {**spec.contracts, "anew": contract}})


def contract_widened(spec: PolicySpec, rng: Random) -> PolicyFault:
    """One side of a contract selects more sites."""

    def wider(contract: ContractSpec) -> Change:
        side = rng.choice(("client", "server"))
        selector: Selector = getattr(contract, side)
        keys = sorted(selector.model_fields_set)
        if len(keys) > 1:
            key = rng.choice(keys)
            values = {each: getattr(selector, each) for each in keys if each != key}
            return f"{side} without its {key}", {side: Selector(**values)}
        kinds = [kind for kind in Kind if kind not in selector.kind]
        if not selector.kind or not kinds:
            return None
        kind = rng.choice(kinds)
        return f"{side} is {kind.value} too", {side: selector.model_copy(update={"kind": (*selector.kind, kind)})}

    return _with_contract(spec, rng, wider)


def contract_narrowed(spec: PolicySpec, rng: Random) -> PolicyFault:
    """One side of a contract selects the sites of one region only."""

    def narrower(contract: ContractSpec) -> Change:
        side, region = rng.choice(("client", "server")), rng.choice(list(Region))
        selector: Selector = getattr(contract, side)
        if selector.region:
            return None
        return f"{side} in {region.value} only", {side: Selector(**_set_fields(selector), region=(region,))}

    return _with_contract(spec, rng, narrower)


def services_added(spec: PolicySpec, rng: Random) -> PolicyFault:
    """A contract has one more service."""

    def more(contract: ContractSpec) -> Change:
        others = [name for name in spec.services if name not in contract.services]
        if not others:
            return None
        name = rng.choice(others)
        return f"{name} too", {"services": (*contract.services, name)}

    return _with_contract(spec, rng, more)


def services_removed(spec: PolicySpec, rng: Random) -> PolicyFault:
    """A contract lacks one of its services."""

    def fewer(contract: ContractSpec) -> Change:
        name = rng.choice(contract.services)
        left = tuple(each for each in contract.services if each != name)
        return (f"without {name}", {"services": left}) if left else None

    return _with_contract(spec, rng, fewer)


def direction_changed(spec: PolicySpec, rng: Random) -> PolicyFault:
    """Both sides may open the services, or no longer both."""
    return _with_contract(spec, rng, lambda contract: (
        f"both_ways: {str(not contract.both_ways).lower()}", {"both_ways": not contract.both_ways}))  # fmt: skip


def region_forgotten(spec: PolicySpec, rng: Random) -> PolicyFault:
    """A contract within regions applies across regions."""
    return _with_contract(spec, rng, lambda contract: (
        ("without same_region", {"same_region": False}) if contract.same_region else None))  # fmt: skip


def import_added(spec: PolicySpec, rng: Random) -> PolicyFault:
    """A VPN imports one more route target."""

    def more(vpn: VpnSpec) -> Change:
        known = sorted({target for each in spec.vpns.values() for target in each.exports} - set(vpn.imports))
        if not known:
            return None
        target = rng.choice(known)
        return f"imports {target} too", {"imports": (*vpn.imports, target)}

    return _with_vpn(spec, rng, more)


def import_removed(spec: PolicySpec, rng: Random) -> PolicyFault:
    """A VPN imports one route target less."""

    def fewer(vpn: VpnSpec) -> Change:
        if not vpn.imports:
            return None
        target = rng.choice(vpn.imports)
        return f"without import {target}", {"imports": tuple(each for each in vpn.imports if each != target)}

    return _with_vpn(spec, rng, fewer)


def members_moved(spec: PolicySpec, rng: Random) -> PolicyFault:
    """The sites of one kind move from one VPN to another."""
    name, other = rng.sample(sorted(spec.vpns), 2) if len(spec.vpns) > 1 else ("", "")
    if not name:
        return None
    old, new = spec.vpns[name].members, spec.vpns[other].members
    if len(old.kind) < 2 or (old.region != new.region and (old.region and new.region)):
        return None
    kind = rng.choice(old.kind)
    update = {
        name: old.model_copy(update={"kind": tuple(each for each in old.kind if each is not kind)}),
        other: new.model_copy(update={"kind": (*new.kind, kind)}),
    }
    vpns = {each: vpn.model_copy(update={"members": update.get(each, vpn.members)}) for each, vpn in spec.vpns.items()}
    return f"{kind.value} of VPN {name} into {other}", spec.model_copy(update={"vpns": vpns})


def region_moved(spec: PolicySpec, rng: Random) -> PolicyFault:
    """Two VPNs exchange their members."""
    name, other = rng.sample(sorted(spec.vpns), 2) if len(spec.vpns) > 1 else ("", "")
    if not name:
        return None
    members = {name: spec.vpns[other].members, other: spec.vpns[name].members}
    vpns = {each: vpn.model_copy(update={"members": members.get(each, vpn.members)}) for each, vpn in spec.vpns.items()}
    return f"members of {name} and {other} exchanged", spec.model_copy(update={"vpns": vpns})


def class_changed(spec: PolicySpec, rng: Random) -> PolicyFault:
    """A service is in another traffic class."""

    def other(service: ServiceSpec) -> Change:
        names = [name for name in spec.classes if name != service.cls]
        name = rng.choice(names)
        return f"class {name}", {"cls": name}

    return _with_service(spec, rng, other)


def ports_widened(spec: PolicySpec, rng: Random) -> PolicyFault:
    """A service has more ports."""

    def more(service: ServiceSpec) -> Change:
        if not service.ports:
            return None
        first = rng.choice(service.ports)
        wider = replace(first, last=min(first.last + rng.choice((1, 255)), MAX_PORT))
        return f"ports up to {wider.last}", {"ports": tuple(wider if each == first else each for each in service.ports)}

    return _with_service(spec, rng, more)


def policer_changed(spec: PolicySpec, rng: Random) -> PolicyFault:
    """A class is not policed, or to twice the rate."""
    name = rng.choice([name for name, cls in spec.classes.items() if cls.police] or [""])
    if not name:
        return None
    cls = spec.classes[name]
    if rng.random() < 0.5:
        what, police = f"class {name} is not policed", tuple[PoliceStep, ...]()
    else:
        doubled = (step.model_copy(update={"share": min(1.0, 2 * step.share)}) for step in cls.police)
        what, police = f"class {name} is policed to twice as much", tuple(doubled)
    return what, spec.model_copy(update={"classes": {**spec.classes, name: cls.model_copy(update={"police": police})}})


FAULTS: dict[str, Callable[[PolicySpec, Random], PolicyFault]] = {
    "contract removed": contract_removed,
    "contract added": contract_added,
    "contract widened": contract_widened,
    "contract narrowed": contract_narrowed,
    "service added": services_added,
    "service removed": services_removed,
    "both ways": direction_changed,
    "same region forgotten": region_forgotten,
    "import added": import_added,
    "import removed": import_removed,
    "members moved": members_moved,
    "members exchanged": region_moved,
    "class of a service": class_changed,
    "ports widened": ports_widened,
    "policer": policer_changed,
}


def _with_change(
    spec: PolicySpec, rng: Random, section: str, noun: str, change: Callable[[Any], Change]
) -> PolicyFault:
    """The policy with one random entry of a section changed; None where ``change`` cannot change that entry."""
    entries = getattr(spec, section)
    name = rng.choice(list(entries))
    changed = change(entries[name])
    if changed is None:
        return None
    what, update = changed
    changed_entries = {**entries, name: entries[name].model_copy(update=update)}
    return f"{noun} {name}: {what}", spec.model_copy(update={section: changed_entries})


def _with_contract(spec: PolicySpec, rng: Random, change: Callable[[ContractSpec], Change]) -> PolicyFault:
    return _with_change(spec, rng, "contracts", "contract", change)


def _with_vpn(spec: PolicySpec, rng: Random, change: Callable[[VpnSpec], Change]) -> PolicyFault:
    return _with_change(spec, rng, "vpns", "VPN", change)


def _with_service(spec: PolicySpec, rng: Random, change: Callable[[ServiceSpec], Change]) -> PolicyFault:
    return _with_change(spec, rng, "services", "service", change)


def _set_fields(selector: Selector) -> dict[str, Any]:
    return {key: getattr(selector, key) for key in selector.model_fields_set}


def _in_words(selector: Selector) -> str:
    fields = _set_fields(selector).items()
    return ", ".join(f"{key} {'/'.join(str(getattr(v, 'value', v)) for v in value)}" for key, value in fields)
