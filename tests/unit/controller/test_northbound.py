"""The northbound interface: authentication, responses, and error messages."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from northbound_source import TOKEN, MadeUp, Northbound
from starlette.routing import Route

from helsewan.common.document import MAX_BYTES
from helsewan.controller.northbound.api import ROUTES, application
from helsewan.controller.northbound.context import Context
from helsewan.controller.northbound.views.counting import EntryCounters
from helsewan.controller.openflow.pipeline import CLASS, Drop, Purpose, cookie

GOLDEN = Path(__file__).parents[2] / "golden" / "northbound"
MISSING = Path("/nowhere")


def golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("HELSEWAN_UPDATE_GOLDEN") == "1":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.fixture
def northbound(tmp_path: Path) -> Northbound:
    return Northbound(tmp_path)


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return application(Context.of(MadeUp(), MISSING, MISSING))


def routes() -> list[tuple[str, str]]:
    """Every method and path, including the framework's own."""
    own = [route for router in ROUTES for route in router.routes if isinstance(route, Route | APIRoute)]
    made = application(Context.of(MadeUp(), MISSING, MISSING))
    others = [route for route in made.routes if isinstance(route, Route | APIRoute) and route not in own]
    return [(method, route.path) for route in (*own, *others) for method in sorted(route.methods or ())]


def test_there_are_routes_to_guard() -> None:
    assert {("GET", "/v1/topology"), ("PUT", "/v1/policy"), ("GET", "/metrics"), ("GET", "/v1/openapi.json")} <= {
        *routes()
    }


@pytest.mark.parametrize(("method", "path"), routes())
@pytest.mark.parametrize("token", [None, "", "operator.one-two-thre", "operator.one-two-three4", "operator."])
def test_no_route_is_open_without_a_token(northbound: Northbound, method: str, path: str, token: str | None) -> None:
    answer = northbound.ask(method, path, token)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert northbound.source.asked == []


@pytest.mark.parametrize(
    "header", [f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN} x", f"Bearer x{TOKEN}", "Bearer \xe6\xf8\xe5"]
)
def test_malformed_authorization_is_refused(northbound: Northbound, header: str) -> None:
    assert (
        northbound.ask("GET", "/v1/vpns", None, headers=[(b"authorization", header.encode("latin-1"))]).status_code
        == 401
    )


def test_two_authorization_headers_are_refused(northbound: Northbound) -> None:
    both = [("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer operator.wrong")]
    assert northbound.ask("GET", "/v1/vpns", None, headers=both).status_code == 401


def test_every_route_is_documented(app: FastAPI) -> None:
    documented = {(method.upper(), path) for path, each in app.openapi()["paths"].items() for method in each}
    assert documented == {each for each in routes() if each[1] != "/v1/openapi.json"}


def test_openapi_is_as_published(app: FastAPI) -> None:
    """The golden file is the contract with clients: new paths and fields are fine, another meaning needs version 2."""
    text = json.dumps(app.openapi(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    for phrase in ("Successful Response", "Validation Error"):  # the framework's words, which change with it
        text = text.replace(f'"description": "{phrase}"', '"description": "..."')
    golden("openapi.json", text)


def test_topology_tells_state_capacity_and_demand(northbound: Northbound) -> None:
    northbound.source.down = frozenset({"r2-r3"})
    northbound.source.withdrawn = frozenset({"r1-r2"})
    lines = {line["id"]: line for line in northbound.get("/v1/topology")["lines"]}
    assert lines["r2-r3"]["state"] == "down" and lines["r1-r3"]["state"] == "up"
    assert not lines["r1-r2"]["in_service"] and lines["r1-r3"]["in_service"]
    assert lines["r1-r3"]["capacity_bps"] == 10**9


def test_demand_follows_the_paths_in_use(tmp_path: Path) -> None:
    source = MadeUp(text=f"{MadeUp().text}\npaths: {{busy: 10 %}}\n")
    northbound = Northbound(tmp_path, source)

    def demand() -> dict[str, int]:
        return {line["id"]: sum(line["demand_bps"]) for line in northbound.get("/v1/topology")["lines"]}

    calm = demand()
    assert calm["r1-r3"] > 0
    source.withdrawn = frozenset({"r1-r3"})
    moved = demand()
    assert moved["r1-r3"] == 0 and moved["r1-r2"] > calm["r1-r2"]


def test_sites_by_region_and_kind_a_page_at_a_time(northbound: Northbound) -> None:
    everyone = northbound.get("/v1/sites")
    assert everyone["total"] == 20 == len(everyone["sites"])
    found = northbound.get("/v1/sites?region=nord&kind=hospital")
    assert [site["id"] for site in found["sites"]] == ["h-tromso", "h-bodo"]
    page = northbound.get("/v1/sites?offset=18&limit=5")
    assert (page["total"], page["offset"]) == (20, 18)
    assert page["sites"] == everyone["sites"][18:]
    assert northbound.get("/v1/sites?vpn=radiology")["total"] == 1
    assert northbound.get("/v1/sites/h-tromso")["lines"][1] == {
        "router": "r2",
        "vlan": 103,
        "backup": True,
        "rate_bps": 10**9,
        "delay_us": 200,
        "mtu_bytes": 1500,
        "policed_bps": {"voice": 200_000_000},
    }


def test_vpns_tell_members_targets_and_labels(northbound: Northbound) -> None:
    assert [vpn["name"] for vpn in northbound.get("/v1/vpns")] == ["care", "radiology", "public"]
    care = northbound.get("/v1/vpns/care")
    assert care["sites"] == ["h-st-olav", "h-levanger", "h-tromso", "h-bodo"]
    assert (care["label4"], care["exports"], care["sees"]) == (1001, ["65000:1"], ["care", "radiology", "public"])


def test_paths_have_repairs_and_independent_paths(northbound: Northbound) -> None:
    found = northbound.get("/v1/paths?from=gp-1&to=h-bodo")
    assert [cls["name"] for cls in found["classes"]] == ["control", "voice", "data", "rest"]
    voice = found["classes"][1]
    assert voice["way"] == {"routers": ["r1", "r3"], "lines": ["r1-r3"], "delay_us": 1000}
    (repair,) = voice["repairs"]
    assert (repair["line"], repair["way"]["routers"], repair["shares"]) == ("r1-r3", ["r1", "r2", "r3"], [])
    assert [way["routers"] for way in found["independent"]] == [["r1", "r3"], ["r1", "r2", "r3"]]


def test_paths_avoid_a_link_that_has_just_failed(northbound: Northbound) -> None:
    """Before the controller has computed new paths: the old ones are in use, and the router detours."""
    state = northbound.source.state

    def before_it_noticed() -> dict[str, Any]:
        return {**state(), "links_down": ["r1-r3"]}

    northbound.source.state = before_it_noticed  # type: ignore[method-assign]
    voice = northbound.get("/v1/paths?from=gp-1&to=h-bodo")["classes"][1]
    assert voice["repaired"] and voice["way"]["routers"] == ["r1", "r2", "r3"]
    northbound.source.state = lambda: {**state(), "links_down": ["r1-r3", "r1-r2"]}  # type: ignore[method-assign]
    assert northbound.get("/v1/paths?from=gp-1&to=h-bodo")["classes"][1]["way"] is None


def test_counters_tell_reasons_and_classes(northbound: Northbound) -> None:
    voice, rest = CLASS.of(46), CLASS.of(0)
    northbound.source.entries = (
        EntryCounters(0, cookie(Purpose.DROP, Drop.SPOOFED), 3, 300, (0, 0)),
        EntryCounters(0, cookie(Purpose.DROP, Drop.SPOOFED), 4, 400, (0, 0)),
        EntryCounters(2, cookie(Purpose.DROP, Drop.NO_CONTRACT), 5, 500, (0, 0)),
        EntryCounters(2, cookie(Purpose.DROP, 99), 6, 600, (0, 0)),  # a foreign entry
        *(EntryCounters(2, cookie(Purpose.CONTRACT, number), 1, 10, voice) for number in range(20)),
        EntryCounters(2, cookie(Purpose.CONTRACT, 7), 2, 20, rest),
    )
    found = northbound.get("/v1/counters/r1")
    assert found["drops"] == [
        {"table": "admit", "reason": "spoofed", "packets": 7, "bytes": 700},
        {"table": "contract", "reason": "no-contract", "packets": 5, "bytes": 500},
    ]
    counts = {each["name"]: (each["packets"], each["bytes"]) for each in found["classes"]}
    assert counts == {"control": (0, 0), "voice": (20, 200), "data": (0, 0), "rest": (2, 20)}


def test_a_switch_is_not_asked_for_counters_all_the_time(northbound: Northbound) -> None:
    northbound.get("/v1/counters/r1")
    asked = len(northbound.source.asked)
    northbound.get("/v1/counters/r1")
    assert len(northbound.source.asked) == asked > 0


def test_metrics_are_prometheus_text(northbound: Northbound) -> None:
    northbound.source.down = frozenset({"r2-r3"})
    northbound.source.entries = (EntryCounters(2, cookie(Purpose.DROP, Drop.NO_CONTRACT), 5, 500, (0, 0)),)
    answer = northbound.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    golden("metrics.txt", answer.text.replace(northbound.source.version, "VERSION"))


def test_faults_go_out_of_service_and_back(northbound: Northbound) -> None:
    answer = northbound.ask("PUT", "/v1/faults/r1-r2")
    assert answer.status_code == 200
    assert answer.json()["withdrawn"] == [{"place": "r1-r2", "lines": ["r1-r2"]}]
    answer = northbound.ask("PUT", "/v1/faults/pop-3")
    assert answer.json()["withdrawn"][0] == {"place": "pop-3", "lines": ["r1-r3", "r2-r3"]}
    northbound.ask("PUT", "/v1/faults/r2-r3")
    northbound.ask("DELETE", "/v1/faults/pop-3")
    northbound.ask("DELETE", "/v1/faults/r2-r3")
    assert northbound.source.withdrawn == {"r1-r2"}
    who = {"door": "api", "name": "operator", "address": "127.0.0.1"}
    assert northbound.source.asked[-1] == ("withdraw", frozenset({"r1-r2"}), who)


def test_faults_that_take_longer_are_accepted(tmp_path: Path) -> None:
    northbound = Northbound(tmp_path, MadeUp(obedient=False), effect_s=0.0)
    answer = northbound.ask("PUT", "/v1/faults/r1-r2")
    assert (answer.status_code, answer.json()["in_effect"]) == (202, False)


def test_policy_has_an_etag_and_is_as_it_was_written(northbound: Northbound) -> None:
    answer = northbound.ask("GET", "/v1/policy")
    assert answer.json()["source"] == northbound.source.text
    assert answer.headers["etag"] == f'"{answer.json()["version"]}"'


def changed(text: str) -> str:
    """The small policy, in which radiology's pictures come over another service."""
    return text.replace("services: [hl7]", "services: [hl7, odd-ports]", 1).replace("name: small", "name: other")


def test_dry_run_tells_the_difference_and_changes_nothing(northbound: Northbound) -> None:
    answer = northbound.ask("POST", "/v1/policy/dry-run", content=changed(northbound.source.text))
    found = answer.json()
    assert found["changes"] == ['name: "small" became "other"', 'contracts.pictures.services: added "odd-ports"']
    assert found["against"] == northbound.source.version
    assert {each["router"]: each["added"] > 0 for each in found["routers"]} == {"r1": True, "r2": True, "r3": True}
    assert all(each["removed"] == 0 for each in found["routers"])
    assert northbound.source.asked == []


def test_apply_replaces_the_version_of_the_etag(northbound: Northbound) -> None:
    seen = northbound.ask("GET", "/v1/policy").headers["etag"]
    body = changed(northbound.source.text)
    answer = northbound.ask("PUT", "/v1/policy", content=body, headers={"if-match": seen})
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == f'"{northbound.source.version}"' != seen
    ((_, policy, who, expects, changes),) = northbound.source.asked
    assert (policy, who["name"], expects) == ("other", "operator", seen.strip('"'))
    assert 'contracts.pictures.services: added "odd-ports"' in changes
    again = northbound.ask("PUT", "/v1/policy", content=body, headers={"if-match": seen})
    assert again.status_code == 412 and "is now" in again.json()["detail"]


def test_who_is_the_tokens_holder(northbound: Northbound) -> None:
    northbound.ask("PUT", "/v1/faults/r1-r2", "other.four-five-six")
    assert northbound.source.asked[-1][-1]["name"] == "other"


def test_a_policy_that_is_refused_is_told(northbound: Northbound) -> None:
    answer = northbound.ask("PUT", "/v1/policy", content="name: x\n", headers={"if-match": "*"})
    assert answer.status_code == 422
    assert northbound.source.asked[0][:2] == ("refused", "policy")


REFUSALS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("GET", "/v1/nothing", {}),
    ("POST", "/v1/topology", {}),
    ("GET", "/v1/sites?region=oest&limit=0", {}),
    ("GET", "/v1/sites/h-tromsoe", {}),
    ("GET", "/v1/vpns/car", {}),
    ("GET", "/v1/paths?from=gp-1", {}),
    ("GET", "/v1/paths?from=gp-1&to=gp-11", {}),
    ("GET", "/v1/counters/r9", {}),
    ("GET", "/v1/counters/r3", {}),
    ("PUT", "/v1/faults/r1-r9", {}),
    ("GET", "/v1/events?after=1", {}),
    ("GET", "/v1/events", {"headers": {"last-event-id": "-1"}}),
    ("PUT", "/v1/policy", {"content": "name: x"}),
    ("PUT", "/v1/policy", {"content": "name: x", "headers": {"if-match": '"1-other"'}}),
    ("POST", "/v1/policy/dry-run", {"content": ""}),
    ("POST", "/v1/policy/dry-run", {"content": b"\xff"}),
    ("POST", "/v1/policy/dry-run", {"content": "a: [b"}),
    ("POST", "/v1/policy/dry-run", {"content": "name: x\nclases: {}\n"}),
    ("POST", "/v1/policy/dry-run", {"content": b"name: sent\ninclude: [national, /etc/helsewan/secret.yaml]"}),
)


def test_refusals_say_why_in_one_line(northbound: Northbound) -> None:
    told = []
    for method, path, how in REFUSALS:
        answer = northbound.ask(method, path, **how)
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == answer.status_code and "\n" not in problem["detail"]
        told.append(f"{method} {path}\n  {answer.status_code} {problem['detail']}")
    golden("refusals.txt", "\n".join(told) + "\n")


def test_a_policy_that_is_sent_may_be_a_variant_of_the_librarys(northbound: Northbound) -> None:
    answer = northbound.ask("POST", "/v1/policy/dry-run", content=b"name: sent\ninclude: regional-silos\n")
    assert answer.status_code == 200, answer.text
    assert answer.json()["policy"] == "sent"


def test_what_the_network_refuses_is_told_with_router_and_rule(tmp_path: Path) -> None:
    refusal = {"reason": "the table is full", "router": "r1", "rule": "table admit, priority 1"}
    northbound = Northbound(tmp_path, MadeUp(refusal=refusal))
    answer = northbound.ask("PUT", "/v1/policy", content=northbound.source.text, headers={"if-match": "*"})
    assert answer.status_code == 409
    assert answer.json()["detail"] == "router r1: rule table admit, priority 1: the table is full"


def test_a_policy_that_came_in_between_is_a_conflict(tmp_path: Path) -> None:
    northbound = Northbound(tmp_path, MadeUp(refusal={"reason": "another policy is on its way", "conflict": True}))
    seen = northbound.source.version
    answer = northbound.ask("PUT", "/v1/policy", content=northbound.source.text, headers={"if-match": f'"{seen}"'})
    assert answer.status_code == 412


def test_a_body_beyond_the_limit_is_refused(northbound: Northbound) -> None:
    answer = northbound.ask("POST", "/v1/policy/dry-run", content=b"#" * (MAX_BYTES + 1))
    assert (answer.status_code, answer.json()["title"]) == (413, "Request Entity Too Large")


@pytest.mark.parametrize(
    "body",
    [b"\x00" * 1000, b"&a [*a]", b"- " * 5000, b"{" * 5000, b"!!python/object/apply:os.system [id]", b"name: x: y"],
)
def test_hostile_bodies_are_bad_input(northbound: Northbound, body: bytes) -> None:
    assert northbound.ask("POST", "/v1/policy/dry-run", content=body).status_code == 422


def test_an_exception_is_a_problem_response(northbound: Northbound) -> None:
    northbound.source.network = None  # type: ignore[assignment]
    answer = northbound.ask("GET", "/v1/topology")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")


def test_changes_are_the_latest_of_the_log(northbound: Northbound) -> None:
    northbound.changes.write_text("".join(f'{{"what": {number}}}\n' for number in range(5)))
    assert northbound.get("/v1/changes?limit=2") == {"changes": [{"what": 3}, {"what": 4}]}
