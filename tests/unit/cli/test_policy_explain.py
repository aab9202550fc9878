"""Why two sites may or may not talk, and how: the text a user reads, and what it rests on."""

from __future__ import annotations

import io
import json
from functools import cache
from itertools import permutations

import policy_golden
import pytest
from policy_network import small_network
from rich.console import Console

from helsewan.cli.tables.policy_explain import show_explained, to_json, to_screen
from helsewan.common.errors import InputError
from helsewan.controller.rules.generation import first_generation
from helsewan.policies.analysis.explain import Denial, NearContract, NoRoute, is_allowed, why_denied
from helsewan.policies.compile import compile_policy
from helsewan.policies.plan import Plan
from helsewan.verification.concrete.fabric import Fabric
from helsewan.verification.expected.explained import Explained, explained

PAIRS = (("gp-1", "h-st-olav"), ("gp-3", "h-st-olav"), ("gp-1", "svc-broker"), ("h-orkdal", "h-tromso"))


@cache
def plan() -> Plan:
    """The small policy on the small network."""
    return compile_policy(policy_golden.small_policy(), small_network())


@cache
def fabric() -> Fabric:
    """Its rules."""
    rules = first_generation(plan())
    return Fabric.of(plan().network, {router: rules.rules(router) for router in plan().network.router})


def answer(one: str, other: str, *services: str) -> Explained:
    """What there is to say of two sites."""
    return explained(plan(), fabric(), (one, other), services or list(plan().service))


def text(found: Explained) -> str:
    """As it stands on a screen."""
    paper = io.StringIO()
    to_screen(found, Console(file=paper, width=120, highlight=False))
    return "".join(f"{line.rstrip()}\n" for line in paper.getvalue().splitlines())


def test_text_is_the_golden_one() -> None:
    sections = [f"== {one} {other}\n{text(answer(one, other))}" for one, other in PAIRS]
    sections.append(f"== gp-1 h-st-olav hl7\n{text(answer('gp-1', 'h-st-olav', 'hl7'))}")
    policy_golden.check("explain.txt", "\n".join(sections))


def test_what_is_allowed_arrives_and_nothing_else_is_shown() -> None:
    """Between all pairs: by the rules every packet that a contract allows arrives at the other site, over each detour
    too, in its class."""
    sites = [site.id for site in plan().network.sites]
    shown = 0
    for one, other in permutations(sites, 2):
        found = answer(one, other)
        allowed = {service for service in plan().service if is_allowed(plan(), one, other, service)}
        assert {each.answer.service for each in found.openings if each.answer.allowed and each.client == one} == allowed
        assert {name for each in found.class_paths if each.sender == one for name in each.opens} == allowed
        for each in found.class_paths:
            traces = each.path, each.path6, *(detour.path for detour in each.detours)
            assert {trace.site for trace in traces} == {each.receiver}
            assert {trace.dscp for trace in traces} == {each.cls.dscp}
            labels = [label for trace in traces for leg in trace.legs for label in leg.labels]
            assert {label.tc for label in labels} <= {each.cls.mpls_tc}
            assert each.path.routers == each.path6.routers
            shown += len(traces)
    assert shown


def test_delay_is_that_of_all_lines_and_fibres() -> None:
    opens, replies = answer("gp-2", "svc-broker", "hl7").class_paths
    assert opens.path.routers == ("r2", "r1") and opens.path.delay_us == 200 + 1000 + 200
    assert replies.path.routers == ("r1", "r2")


def test_detours_are_named_by_what_failed() -> None:
    (opens, _) = answer("gp-2", "svc-broker", "hl7").class_paths
    ways = {detour.failed: detour.path.routers for detour in opens.detours}
    assert ways == {"r1-r2": ("r2",), "the line of svc-broker to r1": ("r2", "r1", "r2")}


def test_denied_for_want_of_a_route() -> None:
    found = why_denied(plan(), "gp-1", "h-orkdal", "hl7")
    assert found.no_routes == (
        NoRoute("public", "radiology", ("65000:2", "spare")),
        NoRoute("radiology", "public", ("public",)),
    )


def test_denied_for_want_of_a_contract_names_the_nearest() -> None:
    """No GP opens hl7 to a hospital, but voice, and hl7 to the broker."""
    found = why_denied(plan(), "gp-1", "h-st-olav", "hl7")
    lines = {contract.name: contract.source for contract in plan().contracts}
    assert found == Denial(
        (),
        (
            NearContract("calls", lines["calls"], "gp-1 to open voice, ping"),
            NearContract("broker", lines["broker"], "gp-1 to open it to other sites"),
        ),
    )
    back = why_denied(plan(), "svc-broker", "gp-1", "hl7").nearest
    assert back[0] == NearContract("broker", lines["broker"], "gp-1 to open it")


def test_json_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    show_explained(plan(), ("gp-1", "h-st-olav"), "voice", as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads(json.dumps(to_json(answer("gp-1", "h-st-olav", "voice"))))
    assert [each["allowed"] for each in shown["services"]] == [True, True]


@pytest.mark.parametrize(
    ("sites", "service", "says"),
    [
        (
            ("gp-1", "h-st-olaf"),
            None,
            "OTHER: 'h-st-olaf' is no site of this network (hint: did you mean 'h-st-olav'?)",
        ),
        (("gb-1", "h-st-olav"), None, "SITE: 'gb-1' is no site of this network (hint: did you mean 'gp-1'?)"),
        (("gp-1", "gp-1"), None, "OTHER: 'gp-1' is the first site again (hint: name two sites)"),
        (("gp-1", "gp-2"), "hl8", "--service: 'hl8' is no service of this policy (hint: did you mean 'hl7'?)"),
    ],
)
def test_names_that_are_not_known(sites: tuple[str, str], service: str | None, says: str) -> None:
    with pytest.raises(InputError) as caught:
        show_explained(plan(), sites, service, as_json=False)
    assert str(caught.value) == says
