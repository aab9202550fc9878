"""The northbound interface of a network that stands, asked as the manual says; its answers are held to real packets."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from short_run import wait_until_gone
from terminal import Terminal
from waiting import wait_for

MANUAL = Path(__file__).parents[2] / "docs" / "northbound.md"
# The manual speaks of the national network; a smaller one is up here.
SMALLER = {
    "oslo-hamar": "north-middle",
    "hospital-tromso": "hospital-a",
    "hospital-bodo": "hospital-b",
    "oslo-1": "north",
    "hamar": "middle",
}


class Operator(Terminal):
    """Beside a terminal, the interface."""

    def ask(self, method: str, path: str, *options: str) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        token = (self.directory / "place" / "default.token").read_text().strip()
        argv = ["curl", "-sS", "--max-time", "60", "-X", method, "-w", "\n%{http_code}", *options]
        argv += ["-H", f"Authorization: Bearer {token}", "--unix-socket", str(self.directory / "place" / "default.api")]
        done = subprocess.run(
            [*argv, f"http://x{path}"], capture_output=True, text=True, check=True, cwd=self.directory
        )
        body, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(body)

    def put_policy(self, text: str) -> tuple[int, Any]:
        """Applies a policy in the place of the one in force."""
        (self.directory / "new.yaml").write_text(text)
        version = self.ask("GET", "/v1/policy")[1]["version"]
        return self.ask("PUT", "/v1/policy", "--data-binary", "@new.yaml", "-H", f'If-Match: "{version}"')

    def pings(self, source: str, address: str, *options: str) -> int:
        """Echoes that come back."""
        done = self.run("exec", source, "--", "ping", "-n", *options, address)
        found = re.search(rb"(\d+) received", done.stdout)
        assert found is not None, done.stdout + done.stderr
        return int(found[1])


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    operator = Operator(tmp_path_factory.mktemp("northbound"))
    done = operator.run("up", "--from", "small.yaml", "--policy", "open", "--api", "unix", "--detach")
    assert done.returncode == 0, done.stderr
    assert b"default.token" in done.stdout
    yield operator
    assert operator.run("down").returncode == 0
    wait_until_gone(operator.directory)
    assert not list((operator.directory / "place").glob("default.*"))


def address(operator: Operator, site: str) -> str:
    """A site's own address: the second of its prefix."""
    prefix = operator.ask("GET", f"/v1/sites/{site}")[1]["prefix4"]
    network, _, last = prefix.partition("/")[0].rpartition(".")
    return f"{network}.{int(last) + 2}"


def changes(operator: Operator) -> list[dict[str, Any]]:
    """The audit log."""
    found: list[dict[str, Any]] = operator.ask("GET", "/v1/changes")[1]["changes"]
    return found


def test_status_says_where_it_is(operator: Operator) -> None:
    place = operator.directory / "place"
    facts = json.loads(operator.run("status", "--json").stdout)["api"]
    assert facts == {"address": f"unix:{place / 'default.api'}", "token_file": str(place / "default.token")}
    assert all((place / name).stat().st_mode & 0o777 == 0o600 for name in ("default.api", "default.token"))
    logs = Path(json.loads(operator.run("status", "--json").stdout)["directory"], "logs")
    token = (place / "default.token").read_text().strip()
    assert not [log for log in logs.iterdir() if token in log.read_text(errors="replace")]


def test_a_policy_closes_and_opens_what_packets_may_do(operator: Operator) -> None:
    there = address(operator, "hospital-b")
    text = operator.ask("GET", "/v1/policy")[1]["source"]
    assert operator.pings("hospital-a", there, "-c", "3", "-i", "0.05", "-W", "1") == 3
    status, closed = operator.put_policy(text.replace("services: [tcp, udp, ping, other]", "services: [tcp, udp]"))
    gone = [f'contracts.everything.services: removed "{service}"' for service in ("ping", "other")]
    assert (status, closed["changes"]) == (200, gone)
    assert operator.pings("hospital-a", there, "-c", "3", "-i", "0.05", "-W", "0.3") == 0

    def denied() -> int:
        drops = operator.ask("GET", "/v1/counters/north")[1]["drops"]
        return sum(each["packets"] for each in drops if each["reason"] == "no-contract")

    wait_for(lambda: denied() >= 3, "the drops to be counted")
    status, opened = operator.put_policy(text)
    assert (status, opened["changes"]) == (200, [change.replace("removed", "added") for change in gone])
    assert operator.pings("hospital-a", there, "-c", "3", "-i", "0.05", "-W", "1") == 3
    record = next(each for each in changes(operator) if each["changes"] == closed["changes"])
    assert record["who"] == {"door": "api", "name": "operator", "uid": os.getuid()}
    assert (record["what"], record["outcome"], record["after"]["version"]) == ("policy", "done", closed["version"])


def test_a_policy_that_is_wrong_changes_nothing(operator: Operator) -> None:
    before = operator.ask("GET", "/v1/policy")[1]
    status, refused = operator.put_policy(before["source"].replace("class: best-effort", "class: best-efort", 1))
    assert status == 422 and "did you mean" in refused["detail"]
    assert operator.ask("GET", "/v1/policy")[1] == before
    assert changes(operator)[-1]["outcome"] == "refused"


def test_a_line_goes_out_of_service_and_back_without_a_loss(operator: Operator) -> None:
    there = address(operator, "hospital-b")
    way = operator.ask("GET", "/v1/paths?from=hospital-a&to=hospital-b")[1]["classes"][0]["way"]
    line = way["lines"][0]
    with operator.ending(
        "exec", "hospital-a", "--", "ping", "-n", "-i", "0.01", "-c", "1200", "-W", "2", there
    ) as ping:
        assert ping.stdout is not None and ping.stdout.readline()
        status, faults = operator.ask("PUT", f"/v1/faults/{line}")
        assert status in (200, 202), faults
        wait_for(lambda: operator.ask("GET", "/v1/faults")[1]["in_effect"], "new paths")
        # Nothing is on it any more: that it loses all it is given, both ways, is noticed by nobody.
        assert operator.run("link", "set", line, "--silent").returncode == 0
        round_it = operator.ask("GET", "/v1/paths?from=hospital-a&to=hospital-b")[1]["classes"][0]["way"]
        assert line not in round_it["lines"]
        assert operator.pings("hospital-a", there, "-c", "20", "-i", "0.02", "-W", "2") == 20
        assert operator.run("link", "set", line, "--reset").returncode == 0
        wait_for(lambda: operator.ask("GET", "/v1/faults")[1]["lines_down"] == [], "the line to be heard again")
        assert operator.ask("DELETE", f"/v1/faults/{line}")[0] in (200, 202)
        wait_for(lambda: operator.ask("GET", "/v1/faults")[1]["in_effect"], "the old paths")
        said = ping.communicate()[0]
    assert b"1200 received" in said, said[-300:]
    assert operator.ask("GET", "/v1/paths?from=hospital-a&to=hospital-b")[1]["classes"][0]["way"] == way
    back = [each for each in changes(operator) if each["what"] == "paths" and each["who"]["door"] == "api"]
    assert back[-2]["after"]["withdrawn"] == [line] == back[-1]["before"]["withdrawn"]


def test_every_command_of_the_manual_works(operator: Operator) -> None:
    """In the order in which it tells them, in one shell; one that fails ends it."""
    blocks = re.findall(r"(?:^    .*\n)+", MANUAL.read_text(encoding="utf-8"), flags=re.MULTILINE)
    script = "".join(line.removeprefix("    ") for block in blocks for line in block.splitlines(keepends=True))
    script = re.sub(r"^place=.*", f"place={operator.directory / 'place'}", script, flags=re.MULTILINE)
    script = script.replace("helsewan up --api unix --detach\n", "")  # it is
    for name, smaller in SMALLER.items():
        script = script.replace(name, smaller)
    assert script.count("ask") > 15
    done = subprocess.run(
        ["bash", "-euxc", script], capture_output=True, text=True, cwd=operator.directory, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert '"mine"' in done.stdout and "helsewan_changes_total" in done.stdout and "event: " in done.stdout
