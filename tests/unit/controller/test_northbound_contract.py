"""The northbound interface keeps to its own OpenAPI document, whatever it is asked, and errors are small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from northbound_source import TOKEN, MadeUp, Northbound
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

from helsewan.controller.northbound.api import ROUTES, application
from helsewan.controller.northbound.context import Context
from helsewan.controller.northbound.problems import MAX_PROBLEMS, MAX_RESPONSE_BYTES, MEDIA_TYPE

AUTHORIZATION = {"authorization": f"Bearer {TOKEN}"}
NOT_ASKED = [
    ignored_auth,  # it cannot take away the headers given here; test_northbound.py asks every route
    negative_data_rejection,  # unknown parameters are passed over, as HTTP has it
    positive_data_acceptance,  # not every text is a policy, nor every name a site
]
STREAM = "/v1/events"  # never ends
BOUNDED = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


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
    return schemathesis.openapi.from_asgi("/v1/openapi.json", served.app, headers=AUTHORIZATION)


@pytest.mark.parametrize(
    "requests", [pytest.param(3, id="few"), pytest.param(15, id="many", marks=pytest.mark.exhaustive)]
)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_server_keeps_to_its_document(schema: Any, operation: str, mode: GenerationMode, requests: int) -> None:
    """Asked as the document says, and as it does not: statuses, content types, headers and bodies are those of the
    document, and nothing is an internal error."""
    method, _, path = operation.partition(" ")

    @settings(BOUNDED, max_examples=requests)
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def keeps(case: Any) -> None:
        case.call_and_validate(headers=AUTHORIZATION, excluded_checks=NOT_ASKED)

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


@pytest.mark.parametrize(
    "path", ["/v1/sites?region={}", "/v1/sites?limit={}", "/v1/sites/{}", "/v1/paths?from={}&to=a"]
)
@pytest.mark.parametrize("value", ["x" * 15_000, "1e999", "9" * 5000, "%00", "%ED%A0%80", "%FF"])
def test_a_bad_parameter_has_a_small_answer(served: Northbound, path: str, value: str) -> None:
    answer = served.ask("GET", path.format(value))
    assert 400 <= answer.status_code < 500 and len(answer.content) <= MAX_RESPONSE_BYTES, answer.text[:300]
