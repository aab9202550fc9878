"""The default national policy: what it allows and, above all, what it does not."""

from __future__ import annotations

from itertools import product

import pytest
from policy_network import small_network

from helsewan.policies.analysis.explain import Explanation, explain, is_allowed
from helsewan.policies.compile import compile_policy, library_names, library_path, load_policy
from helsewan.policies.plan import Plan, Scheduling
from helsewan.topology.model import Kind, Network
from helsewan.topology.national.generator import national_network

CARE = {"voice", "video", "ehr", "ehr-udp", "thin-client", "hl7", "dicom", "dicom-udp", "ping"}
CALLS = {"voice", "sip", "sip-tcp", "ping"}
PRESCRIPTIONS = {"prescription", "prescription-udp", "ping"}
RECORDS = {"record-lookup", "record-lookup-udp", "ping"}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compile_policy(load_policy(library_path("national")), small_network())


@pytest.fixture(scope="module")
def country() -> Plan:
    return compile_policy(load_policy(library_path("national")), national_network(400))


def allowed(plan: Plan, client: str, server: str) -> set[str]:
    return {answer.service for answer in explain(plan, client, server) if answer.allowed}


# What each kind of site in Midt-Norge may open to others; everything else is denied.
TABLE: dict[str, dict[str, set[str]]] = {
    "h-st-olav": {
        "h-levanger": CARE,
        "mun-1": CARE,
        "dc-midt": CARE,
        "h-tromso": {"voice", "video"},
        "mun-2": set(),
        "dc-nord": set(),
        "gp-1": set(),
        "ph-1": set(),
        "svc-broker": {"ebxml", "hl7", "ping"},
        "svc-prescriptions": PRESCRIPTIONS,
        "svc-records": RECORDS,
        "svc-video": {"video", "ping"},
        "svc-voice": CALLS,
        "svc-proxy": {"proxy", "ping"},
    },
    "mun-1": {
        "h-st-olav": CARE,
        "h-tromso": set(),
        "mun-2": set(),
        "gp-1": set(),
        "ph-1": set(),
        "svc-broker": {"ebxml", "hl7", "ping"},
        "svc-prescriptions": {"ping"},
        "svc-records": {"ping"},
        "svc-video": {"ping"},
        "svc-voice": CALLS,
        "svc-proxy": {"proxy", "ping"},
    },
    "gp-1": {
        "gp-2": set(),
        "gp-3": set(),
        "ph-1": set(),
        "h-st-olav": {"voice", "hl7"},
        "h-tromso": set(),
        "mun-1": set(),
        "dc-midt": set(),
        "svc-broker": {"ebxml", "hl7", "ping"},
        "svc-prescriptions": PRESCRIPTIONS,
        "svc-records": RECORDS,
        "svc-video": {"video", "ping"},
        "svc-voice": CALLS,
        "svc-proxy": {"proxy", "ping"},
    },
    "ph-1": {
        "ph-2": set(),
        "gp-1": set(),
        "h-st-olav": set(),
        "mun-1": set(),
        "dc-midt": set(),
        "svc-broker": {"ebxml", "hl7", "ping"},
        "svc-prescriptions": PRESCRIPTIONS,
        "svc-records": {"ping"},
        "svc-video": {"ping"},
        "svc-voice": CALLS,
        "svc-proxy": {"proxy", "ping"},
    },
    "svc-voice": {
        "gp-1": {"voice", "sip", "sip-tcp"},
        "ph-2": {"voice", "sip", "sip-tcp"},
        "h-bodo": {"voice", "sip", "sip-tcp"},
        "svc-video": set(),
        "svc-proxy": set(),
    },
    "svc-video": {"gp-1": {"video"}, "h-bodo": {"video"}, "ph-1": set(), "mun-1": set()},
    "svc-broker": {"gp-1": set(), "h-st-olav": set(), "svc-records": set()},
    "svc-proxy": {"gp-1": set(), "h-st-olav": set(), "svc-broker": set()},
}


@pytest.mark.parametrize(("client", "server"), [(client, server) for client in TABLE for server in TABLE[client]])
def test_allowed_services(plan: Plan, client: str, server: str) -> None:
    assert allowed(plan, client, server) == TABLE[client][server]


def test_no_routes_between_practices_or_pharmacies(plan: Plan) -> None:
    """Separate twice: no contract, and no route either."""
    for name, hidden in (("gp", {"gp", "pharmacy"}), ("pharmacy", {"gp", "pharmacy"}), ("shared", {"internet"})):
        seen = {vpn.name for vpn in plan.imports_from(plan.vpn[name])}
        assert not seen & hidden


def test_sites_never_send_in_the_control_class(plan: Plan) -> None:
    assert "control" not in {service.class_name for service in plan.services}


def test_strict_class_that_sites_use_is_policed_on_every_line(plan: Plan) -> None:
    used = {service.class_name for service in plan.services}
    strict = {cls.name for cls in plan.classes if cls.scheduling is Scheduling.STRICT} & used
    assert strict == {"voice"}
    assert all({name for name, rate in line.police if rate > 0} >= strict for line in plan.attachments)


def test_classes_are_told_apart_in_the_core(plan: Plan) -> None:
    assert len({cls.mpls_tc for cls in plan.classes}) == len(plan.classes) == 6


def test_whole_country_compiles_to_few_numbers(country: Plan) -> None:
    """State in the switches grows with kinds of site and towns, not with sites."""
    bigger = compile_policy(load_policy(library_path("national")), national_network(800))
    assert len(country.roles) == len(bigger.roles) <= 30
    assert len(country.contracts) == len(bigger.contracts)
    assert len(country.routes) <= len(country.network.blocks4) + len(country.network.blocks6)


def test_each_national_service_is_used_by_hospitals(country: Plan) -> None:
    hospitals = [site.id for site in country.network.sites if site.kind is Kind.HOSPITAL]
    services = [site.id for site in country.network.sites if site.kind is Kind.SERVICE]
    for hospital, service in product(hospitals, services):
        assert allowed(country, hospital, service) - {"ping"}, f"{hospital} has no use of {service}"


def test_regions_meet_in_calls_only(country: Plan) -> None:
    regional = {Kind.HOSPITAL, Kind.MUNICIPALITY, Kind.DATACENTRE}
    network: Network = country.network
    for client, server in product(country.roles, country.roles):
        one, two = network.site[client.sites[0]], network.site[server.sites[0]]
        if {one.kind, two.kind} <= regional and one.region is not two.region:
            assert allowed(country, one.id, two.id) <= {"voice", "video"}


def test_explanation_names_contract_and_line(plan: Plan) -> None:
    path = library_path("national")
    answers = {answer.service: answer for answer in explain(plan, "gp-1", "h-st-olav")}
    assert list(answers) == [service.name for service in plan.services]
    name, line = answers["hl7"].source.rsplit(":", 1)
    assert (answers["hl7"].contract, name) == ("referrals", str(path))
    assert path.read_text(encoding="utf-8").splitlines()[int(line) - 1].strip() == "referrals:"
    assert answers["ehr"] == Explanation("ehr", False, "", "")


def test_first_of_two_contracts_explains(plan: Plan) -> None:
    contract = is_allowed(plan, "h-st-olav", "h-levanger", "voice")
    assert contract is not None
    assert contract.name == "care-in-the-region"


def test_unknown_site_is_an_error(plan: Plan) -> None:
    with pytest.raises(KeyError):
        is_allowed(plan, "h-st-olav", "nowhere", "voice")


def test_library_lists_the_national_policy() -> None:
    assert "national" in library_names()
