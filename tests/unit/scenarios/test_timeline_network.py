"""What is said about a timeline that does not fit its network, its policy or itself; and what it leaves of traffic."""

from __future__ import annotations

from pathlib import Path

import pytest
from timeline_case import plan, prepare, refusals

from helsewan.scenarios.spec.timeline.policies import PolicyState
from helsewan.scenarios.spec.timeline.prepare import not_in_kernel
from helsewan.scenarios.spec.timeline.targets import Connectivity, Fate, failed_together

LINK = "{link: oslo-hamar}"


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (
            ["a: {at: 1 s, fail: {link: oslo-hamer}}"],
            "7: timeline.a.fail.link: 'oslo-hamer' does not exist in this network",
        ),
        (["a: {at: 1 s, cut: {access: gp-x/wan0, direction: back}}"], "7: timeline.a.cut.access: 'gp-x/wan0' does not"),
        (["a: {at: 1 s, set: {site: nowhere, loss: 1 %}}"], "7: timeline.a.set.site: 'nowhere' does not exist"),
        (["a: {at: 1 s, pause: {router: hamra}}"], "7: timeline.a.pause.router: 'hamra' does not exist"),
        (["a: {at: 1 s, withdraw: {pop: hamra}}"], "7: timeline.a.withdraw.pop: 'hamra' does not exist"),
        (["a: {at: 1 s, command: {site: nobody, run: 'true'}}"], "7: timeline.a.command.site: 'nobody' does not exist"),
        (["a: {at: 1 s, command: {site: hospital-aker, run: nosuch -x}}"], "7: timeline.a.command.run: 'nosuch' is no"),
        (["a: {at: 1 s, quarantine: {sites: {site: [nobody]}}}"], "7: timeline.a.quarantine.sites: selects no site"),
        ([f"a: {{at: 1 s, restore: {LINK}}}"], "7: timeline.a: 'link oslo-hamar' never fails (hint: let it fail first"),
        (
            [f"a: {{at: 1 s, restore: {LINK}}}", f"b: {{at: 2 s, fail: {LINK}}}"],
            "7: timeline.a: 'link oslo-hamar' has not failed at 1 s",
        ),
        (
            [f"a: {{at: 1 s, fail: {LINK}, for: 1 s}}", f"b: {{at: 2500 ms, restore: {LINK}}}"],
            "8: timeline.b: 'link oslo-hamar' has not failed at 2.5 s",
        ),
        (
            [f"a: {{at: 1 s, fail: {LINK}}}", f"b: {{at: 2 s, fail: {LINK}}}"],
            "8: timeline.b: 'link oslo-hamar' is failed already at 2 s, by a (hint: end that before",
        ),
        (
            ["a: {at: 1 s, fail: {region: nord}}", "b: {at: 2 s, fail: {pop: bodo}}"],
            "8: timeline.b: 'PoP Bodø' is failed already at 2 s, by a",
        ),
        (
            [f"a: {{at: 1 s, fail: {LINK}}}", f"b: {{at: 2 s, blackhole: {LINK}}}"],
            "8: timeline.b: 'link oslo-hamar' is failed already at 2 s, by a",
        ),
        (
            ["a: {at: 1 s, every: 1 s, times: 2, blackhole: {link: oslo-hamar}}"],
            "7: timeline.a: 'link oslo-hamar' is a black hole already at 2 s, by a",
        ),
        (
            [f"a: {{at: 1 s, fail: {LINK}}}", f"b: {{at: 1 s, blackhole: {LINK}}}"],
            "8: timeline.b: 'link oslo-hamar' is told two things at 1 s, here and by a",
        ),
        (
            ["a: {at: 1 s, partition: {region: nord}}", "b: {at: 2 s, partition: {pop: bodo}}"],
            "8: timeline.b: 'PoP Bodø' is cut off from the management network already at 2 s, by a",
        ),
        (
            [f"a: {{at: 1 s, capture: {LINK}}}", "b: {at: 2 s, capture: {link: oslo-hamar, direction: back}}"],
            "8: timeline.b: 'link oslo-hamar' is being captured already at 2 s, by a",
        ),
        (
            ["a: {at: 1 s, fail: {controller: leading}}", "b: {at: 2 s, pause: {controller: leading}}"],
            "8: timeline.b: 'the leading controller' is failed already at 2 s, by a",
        ),
        (
            ["a: {at: 1 s, set: {link: oslo-hamar, limit: {vioce: 20 ms}}}"],
            "7: timeline.a.set.limit.vioce: 'vioce' is no",
        ),
        (["a: {at: 1 s, set: {link: oslo-hamar, trace: none.csv}}"], "7: timeline.a.set.trace: none.csv: no such file"),
        (
            ['a: {when: {metric: loss, class: vioce, limit: "> 1 %"}, deadline: 9 s, mark: x}'],
            "7: timeline.a.when.class: 'vioce' is no class of policy 'national' (hint: did you mean 'voice'?)",
        ),
        (["a: {at: 1 s, policy: opne}"], "7: timeline.a.policy: 'opne' is not in the library"),
        (
            ["a: {at: 1 s, exception: {from: {kind: [gp]}, to: {kind: [hospital]}, services: [vioce], reason: x}}"],
            "7: timeline.a.exception.services[0]: 'vioce' is no service",
        ),
    ],
)
def test_events_that_do_not_fit_are_refused_at_their_line(events: list[str], expected: str) -> None:
    found = refusals(*events)
    assert any(problem.startswith(f"small.yaml:{expected}") for problem in found), found


def test_all_are_told_in_one_pass() -> None:
    found = refusals(
        "a: {at: 1 s, fail: {link: x}}", "b: {at: 2 s, policy: opne}", "c: {at: 3 s, set: {link: y, trace: z.csv}}"
    )
    assert [problem.split(":")[1] for problem in sorted(found)] == ["7", "8", "9", "9"]


def test_what_the_kernel_cannot_do_is_refused_there() -> None:
    events = ("a: {at: 1 s, capture: {link: oslo-hamar}}", "b: {at: 1 s, pause: {router: hamar}}")
    scenario, _ = prepare(*events)
    assert [problem.value for problem in not_in_kernel(scenario)] == ["capture", "pause"]


@pytest.mark.parametrize(
    "events",
    [
        [
            "a: {at: 1 s, fail: {router: bodo}}",
            "b: {at: 2 s, fail: {region: nord}}",
            "c: {at: 3 s, restore: {region: nord}}",
        ],
        [
            f"a: {{at: 1 s, fail: {LINK}, for: 1 s}}",
            f"b: {{at: 3 s, fail: {LINK}}}",
            f"c: {{at: 4 s, restore: {LINK}}}",
        ],
        [
            f"a: {{when: repaired, deadline: 9 s, fail: {LINK}}}",
            f"b: {{at: 8 s, restore: {LINK}}}",
            "z: {at: 1 s, pause: {router: bodo}}",
        ],
        ["a: {at: 1 s, set: {link: oslo-hamar, loss: 1 %}}", "b: {at: 2 s, set: {link: oslo-hamar, delay: 9 ms}}"],
        [
            "a: {at: 1 s, blackhole: {link: oslo-hamar, direction: forward}}",
            "b: {at: 2 s, blackhole: {link: oslo-hamar, direction: back}}",
        ],
        ["a: {at: 1 s, withdraw: {pop: oslo}}", "b: {at: 2 s, withdraw: {pop: hamar}}"],
        ["a: {at: 1 s, partition: {region: nord}}", "b: {at: 2 s, partition: {everywhere: true}}"],
        ["a: {at: 1 s, every: 2 s, times: 3, for: 1 s, blackhole: {link: oslo-hamar}}"],
    ],
)
def test_what_makes_sense_is_accepted(events: list[str]) -> None:
    prepare(*events)


def test_a_trace_is_read_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "fading.csv").write_text("time_ms,rate_bps\n0,1000000\n500,64000\n")
    event = "a: {at: 1 s, set: {link: oslo-hamar, trace: fading.csv, repeat: 1 s}}"
    _, timeline = prepare(event, name=str(tmp_path / "small.yaml"))
    assert [point.rate_bps for point in timeline.traces["a"].points] == [1_000_000, 64_000]
    (tmp_path / "fading.csv").write_text("time_ms,rate_bps\n0,fast\n")
    assert "fading.csv:2: rate_bps: 'fast' is not a rate" in refusals(event, name=str(tmp_path / "small.yaml"))[0]


def test_policies_of_all_states_that_are_known_are_compiled_beforehand() -> None:
    exception = "exception: {from: {kind: [gp]}, to: {kind: [hospital]}, services: [dicom], reason: an emergency}"
    _, timeline = prepare(
        f"e: {{at: 2 s, {exception}}}",
        "q: {at: 3 s, quarantine: {sites: {site: [hospital-aker]}}}",
        "no-e: {at: 4 s, end: e}",
    )
    states = timeline.policies
    assert states.plan(PolicyState()) is plan()
    allowed = states.plan(PolicyState("", frozenset({"e"})))
    assert [each.name for each in allowed.exceptions] == ["event-e"] and allowed.network is plan().network
    both, locked = (states.plan(PolicyState("", frozenset(added))) for added in ({"e", "q"}, {"q"}))
    assert len(locked.contracts) < len(allowed.contracts)
    assert both.digest != locked.digest != plan().digest


@pytest.mark.parametrize(
    "action",
    [
        "cut: {site: SITE, direction: back}",
        "blackhole: {access: SITE/wan0}",
        "flap: {site: SITE, down: 1 s, up: 1 s, times: 2}",
        "quarantine: {sites: {site: [SITE]}}",
        "fail: {site: SITE}",
    ],
)
def test_every_action_that_cuts_sites_off_has_its_effect_on_scopes(action: str) -> None:
    network = plan().network
    single = next(site.id for site in network.sites if len(site.accesses) == 1)
    other = next(site.id for site in network.sites if not set(site.homing) & set(network.site[single].homing))
    scenario, timeline = prepare(f"a: {{at: 1 s, {action.replace('SITE', single)}}}")
    failed = failed_together(scenario.spec, timeline.targets, network)
    assert Connectivity(network, failed).fate(single, other) is Fate.CUT


def test_a_router_that_only_loses_links_keeps_its_sites() -> None:
    network = plan().network
    scenario, timeline = prepare("a: {at: 1 s, blackhole: {router: bodo}}", "b: {at: 2 s, pause: {router: hamar}}")
    failed = failed_together(scenario.spec, timeline.targets, network)
    assert failed.routers == ("hamar",)
    assert set(failed.links) == {link.id for link in network.links if "bodo" in (link.a, link.b)}
    scenario, timeline = prepare("a: {at: 1 s, partition: {region: nord}}", "b: {at: 2 s, withdraw: {pop: hamar}}")
    assert failed_together(scenario.spec, timeline.targets, network).routers == ()
