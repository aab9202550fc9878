"""The control socket of a real controller: its requests, and malformed input that must do no harm."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from controller_plan import small_plan
from controller_process import BARRIER_REQUEST, Controller, running
from waiting import wait_for

from helsewan.controller.northbound.controller_client import ControllerClient, Declined, Unreachable

PLAN = replace(small_plan(), policy="other", source="name: other")
WHO = {"door": "api", "name": "anna"}


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    with running(tmp_path_factory.mktemp("door")) as made:
        wait_for(made.door.exists, "the control socket")
        yield made


@pytest.fixture
def client(controller: Controller) -> ControllerClient:
    return ControllerClient(controller.door, controller.plan_file)


def test_only_its_owner_may_use_the_socket(controller: Controller) -> None:
    assert controller.door.stat().st_mode & 0o777 == 0o600


def test_state_is_reported(tmp_path: Path) -> None:
    with running(tmp_path) as controller, closing(controller.switch(1)) as switch:
        client = ControllerClient(controller.door, controller.plan_file)
        switch.serve_until(BARRIER_REQUEST)
        wait_for(lambda: _programmed(client, "oslo1"), "the switch to be programmed")
        state = client.state()
        assert state["routers"]["oslo2"]["connected"] is False and state["routers"]["oslo1"]["flows"] > 0
        assert state["events"]["switch-programmed"] >= 1 and state["cpu_seconds"] > 0


def _programmed(client: ControllerClient, router: str) -> bool:
    try:
        return bool(client.state()["routers"][router]["programmed"])
    except Unreachable:
        return False


def test_a_policy_is_applied_and_recorded(controller: Controller, client: ControllerClient) -> None:
    before = client.state()["version"]
    outcome = client.apply(PLAN, WHO, before, ("a: 1 became 2",))
    assert (outcome["event"], outcome["by"], outcome["before"]["version"]) == ("policy-switched", WHO, before)
    assert client.state()["version"] == outcome["after"]["version"] != before
    assert client.plan().policy == "other"
    assert client.apply(PLAN, WHO, before, ())["conflict"] is True
    wait_for(lambda: '"refused"' in controller.changes_file.read_text(), "the audit log")
    done, refused = map(json.loads, controller.changes_file.read_text().splitlines()[-2:])
    assert (done["who"], done["changes"], done["outcome"]) == (WHO, ["a: 1 became 2"], "done")
    assert (refused["outcome"], refused["policy"]) == ("refused", "other")
    assert not list(controller.home.glob("proposed-*"))


def test_a_refusal_found_before_is_recorded_too(controller: Controller, client: ControllerClient) -> None:
    client.refused("body", "name: is missing", WHO)
    wait_for(lambda: "is missing" in controller.changes_file.read_text(), "the audit log")


def test_links_and_pops_stay_out_of_service_under_a_new_controller(tmp_path: Path) -> None:
    controller = Controller(tmp_path)
    client = ControllerClient(controller.door, controller.plan_file)
    first = controller.start()
    try:
        wait_for(lambda: _withdrawn(client) == set(), "the control socket")
        client.withdraw(frozenset({"oslo1-bergen", "bodo"}), WHO)
        wait_for(lambda: "oslo1-bergen" in client.state()["paths"]["withdrawn"], "new paths")
        with pytest.raises(Declined, match="no such link or PoP: rome"):
            client.withdraw(frozenset({"rome"}), WHO)
    finally:
        first.kill()
        first.wait()
    second = controller.start()
    try:
        wait_for(lambda: _withdrawn(client) == {"bodo", "oslo1-bergen"}, "the new controller")
    finally:
        second.kill()
        second.wait()


def _withdrawn(client: ControllerClient) -> set[str] | None:
    try:
        return set(client.state()["withdrawn"])
    except Unreachable:
        return None


def test_counters_of_a_disconnected_switch_are_declined(client: ControllerClient) -> None:
    with pytest.raises(Declined, match="bodo is not connected"):
        client.counters("bodo", 0, 0)


@pytest.mark.parametrize(
    "request_",
    [
        b"\n",
        b"[]\n",
        b"{" * 5000 + b"\n",
        b"\xff\n",
        b"x" * (2 << 20),
        b'{"ask": "state", "more": 1}\n',
        b'{"ask": "__init__"}\n',
        b'{"ask": "apply"}\n',
        b'{"ask": "apply", "plan": "/etc/passwd", "by": {}, "expects": "", "changes": [], "request": "1"}\n',
        b'{"ask": "counters", "router": "oslo1", "cookie": -1, "mask": 0}\n',
        b'{"ask": "counters", "router": {}, "cookie": "a", "mask": []}\n',
        b'{"ask": "withdraw", "places": "oslo", "by": {}}\n',
    ],
)
def test_malformed_requests_do_no_harm(controller: Controller, client: ControllerClient, request_: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.settimeout(20)
        door.connect(str(controller.door))
        try:
            door.sendall(request_)
            door.shutdown(socket.SHUT_WR)
            answer = door.makefile("rb").readline()
        except OSError:
            answer = b""
    assert answer == b"" or "error" in json.loads(answer)
    assert client.state()["policy"]


def test_surplus_clients_are_disconnected(controller: Controller, client: ControllerClient) -> None:
    doors = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(20)]
    for door in doors:
        door.connect(str(controller.door))
    doors[-1].settimeout(20)
    assert doors[-1].recv(1) == b""
    for door in doors:
        door.close()
    wait_for(lambda: _answers(client), "a free connection")


def _answers(client: ControllerClient) -> bool:
    try:
        return bool(client.state())
    except Unreachable:
        return False
