"""The northbound interface keeps to its own OpenAPI document, whatever it is asked, and errors are small."""

from __future__ import annotations

import difflib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from northbound_source import TOKEN, MadeUp, Northbound, source_text
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from helsewan.common.document import loads
from helsewan.common.suggestions import MOST_HINTS
from helsewan.controller.northbound.api import ROUTES, application
from helsewan.controller.northbound.context import Context
from helsewan.controller.northbound.problems import MAX_PROBLEMS, MAX_RESPONSE_BYTES, MEDIA_TYPE
from helsewan.policies.compile import compile_policy, read_policy

AUTHORIZATION = {"authorization": f"Bearer {TOKEN}"}
NAMES_NEEDED = ("{", "/v1/paths", "/v1/policy", "/v1/sites")  # in paths: not every text is a name, or a policy
STREAM = "/v1/events"  # never ends
BOUNDED = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Token:
    """Schemathesis' provider of the token, which it takes away again to see that it is needed."""

    def get(self, case: Any, context: Any) -> str:
        return TOKEN

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers["authorization"] = f"Bearer {data}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Northbound:
    return Northbound(tmp_path_factory.mktemp("northbound"), effect_s=0.0)


OPERATIONS = [
    f"{method} {path}"
    for path, each in application(Context.of(MadeUp(), Path("/nowhere"), Path("/nowhere"))).openapi()["paths"].items()
    for method in each
    if path != STREAM
]


@pytest.fixture(scope="module")
def schema(served: Northbound) -> Any:
    """The document as the server gives it."""
    found = schemathesis.openapi.from_asgi("/v1/openapi.json", served.app, headers=AUTHORIZATION)
    negative = found.config.checks.negative_data_rejection
    negative.expected_statuses = [*negative.expected_statuses, "412"]  # before the body (RFC 9110, 13.2.1)
    found.auth()(Token)
    return found


@pytest.mark.parametrize(
    "requests", [pytest.param(3, id="few"), pytest.param(15, id="many", marks=pytest.mark.exhaustive)]
)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_server_keeps_to_its_document(schema: Any, operation: str, mode: GenerationMode, requests: int) -> None:
    """Asked as the document says, and as it does not: statuses, content types, headers and bodies are those of the
    document, what is not of the document is refused, so is a request without the token, and nothing is an internal
    error."""
    method, _, path = operation.partition(" ")
    excluded = [positive_data_acceptance] if any(part in path for part in NAMES_NEEDED) else []

    @settings(BOUNDED, max_examples=requests)
    @given(case=schema[path][method].as_strategy(generation_mode=mode, auth_storage=schema.auth))
    def keeps(case: Any) -> None:
        case.call_and_validate(excluded_checks=excluded)

    keeps()


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    missing = Path("/nowhere")
    return application(Context.of(MadeUp(), missing, missing)).openapi()


def test_the_document_tells_of_the_token(document: dict[str, Any]) -> None:
    scheme = document["components"]["securitySchemes"]["token"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer") and document["security"] == [{"token": []}]


def test_every_error_is_documented_as_problem_details(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            responses = operation["responses"]
            wanted = {"401", "503"} | (
                {"408", "413"} if method in ("put", "post") and "requestBody" in operation else set()
            )
            assert wanted <= set(responses), (method, path)
            for status, response in responses.items():
                if int(status) >= 400:
                    assert list(response["content"]) == [MEDIA_TYPE], (method, path, status)
    assert "428" in document["paths"]["/v1/policy"]["put"]["responses"]
    assert "HTTPValidationError" not in json.dumps(document)


def test_a_method_that_is_not_there_is_told_which_are(served: Northbound) -> None:
    """All of the path's methods, of whichever route: the first alone would hide PUT and DELETE."""
    methods: dict[str, set[str]] = {}
    for router in ROUTES:
        for route in router.routes:
            methods.setdefault(str(getattr(route, "path", "")), set()).update(getattr(route, "methods", ()))
    assert methods["/v1/policy"] == {"GET", "PUT"} and methods["/v1/faults/{place}"] == {"PUT", "DELETE"}
    for path, known in methods.items():
        answer = served.ask("PATCH", path.replace("{place}", "r1-r2").replace("{", "").replace("}", ""))
        allowed = set(answer.headers["allow"].split(", "))
        assert (answer.status_code, allowed) == (405, known | ({"HEAD"} if "GET" in known else set())), path
        assert answer.headers["content-type"] == MEDIA_TYPE


HOSTILE = {
    "infinity": "name: 1e999\n",
    "no number": "name: .nan\n",
    "infinity in a list": "name: [1e999, {a: .inf}]\n",
    "a number of 20,000 bits": f"name: 0x{'f' * 5000}\n",
    "a number of 5,000 digits": f"name: {'9' * 5000}\n",
    "10,000 unknown keys": "".join(f"unknown{number}: {number}\n" for number in range(10_000)),
    "one long name": f"name: [{'x' * 500_000}]\n",
    "one long key": f"{'x' * 500_000}: 1\n",
    "escapes": 'name: ["\\u0000\\u0001\\ud800"]\n',
    "control characters": 'name: ["' + "\\x01" * 5000 + '"]\n',
    "no YAML": "{" * 2000,
    "bytes": "\udcff",
}


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("case", HOSTILE)
def test_a_bad_policy_has_a_small_answer(served: Northbound, method: str, case: str) -> None:
    body = HOSTILE[case].encode("utf-8", "surrogateescape")
    path = "/v1/policy/dry-run" if method == "POST" else "/v1/policy"
    answer = served.ask(method, path, content=body, headers={"if-match": "*"})
    assert answer.status_code == 422 and len(answer.content) <= MAX_RESPONSE_BYTES, answer.text[:300]
    told = answer.json()
    assert len(told["problems"]) <= MAX_PROBLEMS and "\n" not in told["detail"]
    if case == "10,000 unknown keys":
        assert len(told["problems"]) + told["omitted"] >= 10_000


def test_names_of_a_bad_policy_are_compared_with_known_ones_a_few_times_only(
    served: Northbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60,000 unknown keys took 15 s, 500 unknown sites of 2,000 12 s: nearly all for hints that nobody sees."""
    compared = []
    plain = difflib.get_close_matches

    def counted(*args: Any, **how: Any) -> Any:
        compared.append(args[0])
        return plain(*args, **how)

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    whole = source_text()
    sites = ", ".join(f"h-{number}" for number in range(3000))
    for body, least in (
        ("".join(f"unknown{number}: {number}\n" for number in range(60_000)), 60_000),
        (f"{whole}\nquarantine: {{q: {{sites: {{site: [{sites}]}}}}}}\n", 3000),
        (f"{whole}\nquarantine: {{q: {{sites: {{tags: [{sites}]}}}}}}\n", 3000),
    ):
        compared.clear()
        answer = served.ask("POST", "/v1/policy/dry-run", content=body.encode())
        assert answer.status_code == 422 and len(answer.content) <= MAX_RESPONSE_BYTES
        told = answer.json()
        assert len(told["problems"]) + told["omitted"] >= least, answer.text[:500]
        assert 0 < len(compared) <= 2 * MOST_HINTS


@pytest.mark.parametrize(
    ("query", "known", "told"),
    [
        ("/v1/sites?regoin=nord", "region, kind, vpn, offset, limit", "query: 'regoin' is an unknown parameter"),
        ("/v1/sites?limit=1&limit=2", "", "query: 'limit' is given 2 times"),
        ("/v1/topology?x=", "none", "query: 'x' is an unknown parameter"),
        ("/metrics?x=1", "none", "query: 'x' is an unknown parameter"),
        ("/v1/events?last=0", "after", "query: 'last' is an unknown parameter"),
    ],
)
def test_an_unknown_parameter_is_refused_with_those_that_are_known(
    served: Northbound, query: str, known: str, told: str
) -> None:
    answer = served.ask("GET", query)
    assert (answer.status_code, answer.headers["content-type"]) == (400, MEDIA_TYPE)
    assert answer.json()["detail"].startswith(told) and known in answer.json()["problems"][0]["hint"]
    assert served.ask("HEAD", query).status_code == 400


def test_a_vpn_that_is_not_there_selects_no_sites_in_silence(served: Northbound) -> None:
    answer = served.ask("GET", "/v1/sites?vpn=caer")
    assert answer.status_code == 422 and "did you mean 'care'?" in answer.text


@pytest.fixture(scope="module")
def namesakes(tmp_path_factory: pytest.TempPathFactory) -> Northbound:
    """A network whose link r1-r2 has the name of a PoP, and whose PoP pop-3 has that of another's router."""
    source = MadeUp()
    whole = source.network
    pops = tuple(replace(pop, id={"pop-2": "r1-r2", "pop-3": "r1"}.get(pop.id, pop.id)) for pop in whole.pops)
    moved = {"pop-2": "r1-r2", "pop-3": "r1"}
    routers = tuple(replace(router, pop=moved.get(router.pop, router.pop)) for router in whole.routers)
    source.network = replace(whole, pops=pops, routers=routers)
    source._plan = compile_policy(read_policy(loads(source.text.encode(), "small.yaml")), source.network)
    return Northbound(tmp_path_factory.mktemp("namesakes"), source, effect_s=0.0)


def test_a_name_of_a_link_and_of_a_pop_lists_the_choices(namesakes: Northbound) -> None:
    for method in ("PUT", "DELETE"):
        refused = namesakes.ask(method, "/v1/faults/r1-r2")
        assert (refused.status_code, refused.json()["choices"]) == (409, ["link:r1-r2", "pop:r1-r2"])
        assert refused.json()["detail"] == (
            "place: 'r1-r2' is the name of a link and of a PoP (hint: write link:r1-r2 or pop:r1-r2)"
        )
    assert namesakes.source.asked == []
    found = namesakes.ask("PUT", "/v1/faults/pop:r1-r2").json()["withdrawn"]
    assert found == [{"place": "pop:r1-r2", "lines": ["r1-r2", "r2-r3"]}]
    assert namesakes.ask("PUT", "/v1/faults/link:r1-r2").json()["withdrawn"][0]["lines"] == ["r1-r2"]
    for place in ("pop:r1-r2", "link:r1-r2"):
        namesakes.ask("DELETE", f"/v1/faults/{place}")
    assert namesakes.get("/v1/faults")["withdrawn"] == []
    assert namesakes.ask("PUT", "/v1/faults/link:r1-r3").json()["withdrawn"][0]["place"] == "r1-r3"  # one name for one


def test_a_name_of_a_pop_and_of_another_router_lists_the_choices(namesakes: Northbound) -> None:
    refused = namesakes.ask("GET", "/v1/paths?from=r1&to=h-bodo")
    assert (refused.status_code, refused.json()["choices"]) == (409, ["pop:r1", "router:r1"])
    assert refused.json()["problems"][0]["where"] == "from"
    paths = {
        start: namesakes.get(f"/v1/paths?from={start}&to=site:h-bodo")["classes"][0]["way"]["routers"][0]
        for start in ("pop:r1", "router:r1")
    }
    assert paths == {"pop:r1": "r3", "router:r1": "r1"}
    assert namesakes.get("/v1/sites/site:h-bodo")["id"] == "h-bodo"
    for wrong in ("link:r1", "pop:r2", "site:r1", ":r1", "r1:"):
        assert namesakes.ask("GET", f"/v1/paths?from={wrong}&to=h-bodo").status_code == 404


@pytest.mark.parametrize(
    "path", ["/v1/sites?region={}", "/v1/sites?limit={}", "/v1/sites/{}", "/v1/paths?from={}&to=a"]
)
@pytest.mark.parametrize("value", ["x" * 15_000, "1e999", "9" * 5000, "%00", "%ED%A0%80", "%FF"])
def test_a_bad_parameter_has_a_small_answer(served: Northbound, path: str, value: str) -> None:
    answer = served.ask("GET", path.format(value))
    assert 400 <= answer.status_code < 500 and len(answer.content) <= MAX_RESPONSE_BYTES, answer.text[:300]
