"""Writing scenarios: new files, includes, the schema for editors, a scenario in plain words."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from scenario_error_cases import CASES, GOOD
from typer.testing import CliRunner

from helsewan.cli.main import app
from helsewan.common.document import load, loads
from helsewan.common.errors import InputError
from helsewan.scenarios.authoring.description import describe
from helsewan.scenarios.authoring.json_schema import scenario_json_schema
from helsewan.scenarios.authoring.new import new_scenario
from helsewan.scenarios.run.preparation import prepare, problems
from helsewan.scenarios.spec.spec import SCENARIOS, load_scenario

PUBLISHED = Path(__file__).parents[3] / "docs" / "scenarios" / "scenario.schema.json"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a scenario to include."""
    (tmp_path / "good.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str, name: str = "mine.yaml") -> str:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(text)
    return name


@pytest.mark.parametrize("model", [None, "access-line-cut"])
def test_a_new_scenario_is_valid_and_has_its_name(model: str | None) -> None:
    path = new_scenario("mine", model)
    assert problems(str(path), {}) == ()
    assert load_scenario(str(path)).name == "mine"
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize(
    ("name", "model", "reason"),
    [
        ("My Own", None, "is no name"),
        ("good", None, "exists already"),
        ("mine", "no-such", "is not in the library"),
        ("../mine", None, "is no name"),
    ],
)
def test_a_new_scenario_overwrites_nothing_and_copies_what_there_is(name: str, model: str | None, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        new_scenario(name, model)
    assert os.listdir() == ["good.yaml"]


def test_a_scenario_takes_over_what_it_includes_and_changes_some() -> None:
    mine = load_scenario(
        write(
            "name: mine\ndescription: mine\ninclude: good.yaml\n"
            "network: {seed: 7}\ntimeline: {repair: {at: 5 s}}\nremove: {checks: [gap, leaks]}\n"
        )
    )
    good = load_scenario("good.yaml")
    assert (mine.network.sites, mine.network.seed) == (90, 7)
    assert str(mine.spec.timeline["repair"].at) == "5 s"
    assert mine.spec.timeline["repair"].restore == good.spec.timeline["repair"].restore
    assert list(mine.spec.checks) == ["answered", "share"]
    assert mine.spec.traffic == good.spec.traffic


def test_a_scenario_of_the_library_may_be_included_and_set() -> None:
    path = write("name: mine\ndescription: mine\ninclude: region-failover\nparameters: {calls: {default: 3}}\n")
    mine = load_scenario(path, {"region": "nord"})
    assert dict(mine.parameters) == {**load_scenario("region-failover").parameters, "calls": 3, "region": "nord"}


def test_paths_start_from_the_file_they_stand_in() -> None:
    write("name: sub\ninclude: good.yaml\npolicy: own.yaml\nnetwork: {from: map.graphml}\n", "sub/base.yaml")
    write(GOOD, "sub/good.yaml")
    mine = load_scenario(write("name: mine\ndescription: mine\ninclude: sub/base.yaml\n"))
    assert mine.source == Path("sub/map.graphml")
    assert mine.document.folder(("policy",)) == Path("sub")


def test_the_published_schema_is_the_present_one() -> None:
    text = json.dumps(scenario_json_schema(), indent=2) + "\n"
    if os.environ.get("HELSEWAN_UPDATE_GOLDEN") == "1":
        PUBLISHED.write_text(text, encoding="utf-8")
    assert text == PUBLISHED.read_text(encoding="utf-8")


SCHEMA = Draft202012Validator(json.loads(PUBLISHED.read_text(encoding="utf-8")))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA.schema)


@pytest.mark.parametrize("name", SCENARIOS.names)
def test_the_schema_takes_the_library(name: str) -> None:
    SCHEMA.validate(load(SCENARIOS.path(name)).data)


def test_the_schema_takes_what_includes_others() -> None:
    text = "{name: x, include: good.yaml, timeline: {cut: {at: 3 s}}, network: {seed: 3}, traffic: {calls: {count: 2}}}"
    SCHEMA.validate(loads(text.encode(), "x.yaml").data)


@pytest.mark.parametrize(
    "case",
    [
        "key-unknown",
        "key-unknown-in-an-entry",
        "key-missing-in-network",
        "name-is-none",
        "section-is-a-list",
        "sites-no-number",
        "seed-negative",
        "swedish-route-no-boolean",
        "duration-without-unit",
        "parameter-type-unknown",
        "event-unit-unknown",
        "event-negative",
        "event-target-unknown",
        "phase-without-end",
        "time-no-time",
        "traffic-kind-unknown",
        "traffic-count-zero",
        "traffic-key-of-another-kind",
        "traffic-rate-with-a-unit-of-time",
        "traffic-unit-ambiguous",
        "traffic-selector-kind-unknown",
        "check-metric-unknown",
        "check-scope-unknown",
        "check-limit-missing",
        "check-limit-without-comparison",
    ],
)
def test_an_editor_finds_the_mistake_with_the_schema(case: str) -> None:
    old, new = CASES[case]
    assert list(SCHEMA.iter_errors(loads(GOOD.replace(old, new).encode(), "x.yaml").data))


def test_a_scenario_in_plain_words() -> None:
    sections = {section.heading: dict(section.lines) for section in describe(prepare("good.yaml", {"calls": "2"}))}
    assert list(sections) == ["network", "parameters", "timeline", "phases", "traffic", "checks", "needs"]
    assert sections["network"]["the national network"].startswith("90 sites, 35 PoPs, 39 routers")
    assert sections["timeline"]["3 s"] == "failure: fail core of Midt-Norge (Trondheim)"
    assert list(sections["timeline"]) == [
        "0 s", "1 s", "3 s", "failure + 1 s", "6 s", "7 s", "10 s",
    ]  # fmt: skip
    assert "8 flows, 201 datagrams/s, 276 kbit/s of payload" in sections["traffic"]["calls"]
    assert "1 exchanges/s, 176 kbit/s of payload" in sections["traffic"]["records"]
    assert sections["checks"]["share"] == "loss < 0.1 % of traffic scripts, taken together, in phase before"
    assert "frames/s over links" in sections["needs"]["load"]


def run(*argv: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["scenario", *argv])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_validate_tells_all_problems_of_all_files() -> None:
    write(GOOD.replace("policy: national", "policy: nationel").replace("metric: gap", "metric: gaps"), "bad.yaml")
    code, out, err = run("validate", "good.yaml", "bad.yaml")
    assert (code, out) == (2, "good.yaml: valid\n")
    assert [line.split(" ")[0] for line in err.splitlines()] == ["bad.yaml:4:", "bad.yaml:50:"]
    assert run("validate", "good.yaml") == (0, "good.yaml: valid\n", "")


def test_validate_tells_more_problems_than_an_error_message_has() -> None:
    checks = "".join(f"  c{n}: {{metric: none{n}, limit: '== 0'}}\n" for n in range(50))
    code, _, err = run("validate", write(GOOD + checks))
    assert (code, len(err.splitlines())) == (2, 50)


def test_validate_as_json_has_file_line_and_key() -> None:
    write(GOOD.replace("at: 6 s", "at: 6 sec"), "bad.yaml")
    code, out, _ = run("validate", "--json", "good.yaml", "bad.yaml", "none.yaml")
    good, bad, none = json.loads(out)
    assert code == 2
    assert good == {"scenario": "good.yaml", "valid": True, "problems": []}
    assert bad["problems"] == [
        {
            "file": "bad.yaml",
            "line": 12,
            "key": "timeline.repair.at",
            "value": "6 sec",
            "reason": "unit 'sec' is unknown",
            "hint": "write s",
        }
    ]
    assert (none["problems"][0]["line"], none["problems"][0]["reason"]) == (0, "no such file")


def test_the_library_is_listed_with_size_and_duration() -> None:
    code, out, _ = run("list", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0 and list(rows) == list(SCENARIOS.names)
    assert (rows["isolation"]["sites"], rows["isolation"]["duration_us"]) == (90, 32_000_000)
    assert all(row["description"] for row in rows.values())
    assert "isolation" in run("list")[1]
