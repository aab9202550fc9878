"""What each policy of the library is for: who may and who may not, and that it differs from national only where it
says."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product

import pytest

from helsewan.common.document import loads
from helsewan.controller.rules.generation import first_generation
from helsewan.controller.rules.numbering import renumbered
from helsewan.policies.analysis.changes import changes
from helsewan.policies.analysis.semantic_diff import semantic_diff
from helsewan.policies.compile import compile_policy, library_names, library_path, load_policy
from helsewan.policies.language.includes import MergedDocument
from helsewan.policies.language.source import read_policy
from helsewan.policies.plan import Plan
from helsewan.topology.model import Kind, Region, Site
from helsewan.topology.national.generator import national_network

SIZES = (90, 260, 600)  # hospitals, services and data centres alone are 83
STEPS = ("national", "merger-sor-ost-1", "merger-sor-ost-2", "merger-sor-ost-3")
REGIONAL = {Kind.HOSPITAL, Kind.MUNICIPALITY, Kind.DATACENTRE}
CARE = {"voice", "video", "ehr", "ehr-udp", "thin-client", "hl7", "dicom", "dicom-udp", "ping"}
NETWORKS = {size: national_network(size) for size in SIZES}
SITE = NETWORKS[90].site

Opening = tuple[str, str, str]  # client, server, service


@pytest.fixture(scope="module")
def plans() -> dict[str, Plan]:
    return {name: compiled(name, 90) for name in library_names()}


def compiled(name: str, sites: int) -> Plan:
    return compile_policy(load_policy(library_path(name)), NETWORKS[sites])


def openings(plan: Plan) -> set[Opening]:
    """All that any site may open to any other."""
    sites = {role.id: role.sites for role in plan.roles}
    return {
        (client, server, contract.service)
        for contract in plan.contracts
        for client, server in product(sites[contract.client], sites[contract.server])
        if client != server
    }


def pairs(plan: Plan) -> Iterator[tuple[Site, Site]]:
    return ((one, two) for one, two in product(plan.network.sites, repeat=2) if one is not two)


def seen(plan: Plan, site: str) -> set[str]:
    """The sites that a site has routes to."""
    vpn = plan.vpn[plan.role_of_site[site].vpn]
    return {each for other in plan.imports_from(vpn) for each in other.sites} - {site}


@pytest.mark.parametrize(("name", "sites"), list(product(library_names(), SIZES)))
def test_every_policy_compiles_on_networks_of_all_sizes(name: str, sites: int) -> None:
    plan = compiled(name, sites)
    assert plan.policy == name
    assert len(plan.attachments) >= sites


@pytest.mark.parametrize("name", [name for name in library_names() if name not in ("national", "open")])
def test_variants_are_a_few_lines(name: str) -> None:
    policy = load_policy(library_path(name))
    assert isinstance(policy.document, MergedDocument)
    written = [line for line in library_path(name).read_text(encoding="utf-8").splitlines() if line.strip("# ")]
    assert len([line for line in written if not line.startswith("#")]) <= 40


def test_silos_close_calls_between_regions_and_nothing_else(plans: dict[str, Plan]) -> None:
    before, after = openings(plans["national"]), openings(plans["regional-silos"])
    between = {
        (one.id, two.id, service)
        for one, two in pairs(plans["national"])
        for service in ("voice", "video")
        if one.kind is two.kind is Kind.HOSPITAL and one.region is not two.region
    }
    assert (after - before, before - after) == (set(), between)


def test_silos_have_no_routes_between_regions(plans: dict[str, Plan]) -> None:
    plan = plans["regional-silos"]
    for site in plan.network.sites:
        if site.kind is not Kind.SERVICE:
            others = (SITE[other] for other in seen(plan, site.id))
            assert {other.region for other in others if other.kind is not Kind.SERVICE} <= {site.region}


def test_full_mesh_opens_everything_between_sites(plans: dict[str, Plan]) -> None:
    before, plan = openings(plans["national"]), plans["full-mesh"]
    after = openings(plan)
    everything = {
        (one.id, two.id, service.name)
        for one, two in pairs(plan)
        for service in plan.services
        if Kind.SERVICE not in (one.kind, two.kind) and service.name != "proxy"
    }
    assert before - after == set()
    assert after - before == everything - before
    assert everything <= after


def test_hub_and_spoke_closes_what_is_not_with_the_national_services(plans: dict[str, Plan]) -> None:
    before, plan = openings(plans["national"]), plans["hub-and-spoke"]
    after = openings(plan)
    assert after == {each for each in before if Kind.SERVICE in (SITE[each[0]].kind, SITE[each[1]].kind)} < before
    hub = {site.id for site in plan.network.sites if site.kind is Kind.SERVICE}
    assert all(seen(plan, site) == hub for site in set(SITE) - hub)


def test_e_prescription_opens_prescriptions_alone(plans: dict[str, Plan]) -> None:
    plan = plans["e-prescription"]
    service = "service-e-prescription"
    prescribers = {site.id for site in plan.network.sites if site.kind in (Kind.GP, Kind.PHARMACY)}
    assert openings(plan) == set(product(prescribers, [service], ["prescription", "prescription-udp", "ping"]))
    assert all(seen(plan, site) == {service} for site in prescribers)
    assert seen(plan, service) == prescribers
    assert all(not seen(plan, site) for site in set(SITE) - prescribers - {service})


def test_quarantine_of_a_site_closes_all_to_and_from_it(plans: dict[str, Plan]) -> None:
    before, plan = openings(plans["national"]), plans["quarantine-site"]
    cut = {each for each in before if "hospital-aker" in each[:2]}
    assert cut and openings(plan) == before - cut
    assert seen(plan, "hospital-aker") == set()
    assert all("hospital-aker" not in seen(plan, site) for site in SITE)


def test_quarantine_of_a_region_leaves_it_whole(plans: dict[str, Plan]) -> None:
    before, plan = openings(plans["national"]), plans["quarantine-region"]
    ward = {site.id for site in SITE.values() if site.region is Region.NORD and site.kind is not Kind.SERVICE}
    cut = {each for each in before if (each[0] in ward) is not (each[1] in ward)}
    assert cut and openings(plan) == before - cut
    assert all(seen(plan, site) <= ward for site in ward)
    assert all(not seen(plan, site) & ward for site in set(SITE) - ward)


def test_merger_opens_care_in_its_second_step_only(plans: dict[str, Plan]) -> None:
    national, first, second, third = (plans[name] for name in STEPS)
    assert semantic_diff(national, first).effects == semantic_diff(second, third).effects == ()
    new = {Region.SOR, Region.OST}
    opened = openings(second) - openings(first)
    assert opened == {
        (one.id, two.id, service)
        for one, two in pairs(national)
        for service in (CARE if one.kind in REGIONAL else {"voice", "hl7"})
        if {one.region, two.region} == new and two.kind in REGIONAL
        if one.kind in REGIONAL or (one.kind is Kind.GP and two.kind is Kind.HOSPITAL)
    } - openings(first)
    assert semantic_diff(first, second).effects and not openings(first) - openings(second)
    assert third.vpn["region-sor-ost"].sites and "region-sor" not in third.vpn


FORTH = list(pairwise(STEPS))


@pytest.mark.parametrize(("here", "there"), [*FORTH, *((there, here) for here, there in FORTH)])
def test_merger_goes_step_by_step_on_a_running_network(plans: dict[str, Plan], here: str, there: str) -> None:
    """Every switch can be brought from one step to the next, and back; what is the same in both stays. The first step
    only gives names to what is there."""
    generation = first_generation(plans[here])
    steps = generation.steps_to(generation.with_plan(renumbered(plans[there], plans[here])))
    sent = sum(len(part) for step in steps.values() for part in (step.add, step.turn, step.remove))
    rules = sum(len(generation.rules(router).flows) for router in plans[here].network.router)
    assert sent < rules
    assert (sent == 0) is ({here, there} == set(STEPS[:2]))


@pytest.mark.parametrize("name", library_names())
def test_a_policy_in_one_file_says_the_same(plans: dict[str, Plan], name: str) -> None:
    """What others are given of a policy is all of it: read again it is the same policy."""
    plan = plans[name]
    again = compile_policy(read_policy(loads(plan.source.encode(), "again.yaml")), plan.network)
    assert (again.vpns, again.roles, again.classes, again.services) == (
        plan.vpns,
        plan.roles,
        plan.classes,
        plan.services,
    )
    assert openings(again) == openings(plan)
    assert changes(plan.source, again.source) == ()


def test_all_variants_of_national_keep_the_internet_behind_its_proxy(plans: dict[str, Plan]) -> None:
    for name in set(library_names()) - {"open"}:
        for client, server, service in openings(plans[name]):
            assert client != "service-internet-proxy"
            assert server != "service-internet-proxy" or service in ("proxy", "ping")
