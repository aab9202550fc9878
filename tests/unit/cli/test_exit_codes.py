"""What ended a command decides its exit code: only what another try may cure is void, and nothing else says so."""

from __future__ import annotations

import errno
import importlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from rich.console import Console

from helsewan.cli import main as cli
from helsewan.common.errors import InputError, MissingPrivilege, Problem
from helsewan.common.exit_codes import ExitCode, exit_code_of
from helsewan.emulation.links.engine import EngineError
from helsewan.lab.client.client import NetworkGone, NetworkRefused
from helsewan.lab.client.protocol import VERSION
from helsewan.lab.processes import first_process
from helsewan.lab.server import control_socket, worker
from helsewan.lab.server.operations import NoArguments
from helsewan.scenarios.results.verdict import print_verdict
from helsewan.scenarios.run import launcher, rule_reader
from helsewan.scenarios.run import worker as run_worker
from helsewan.scenarios.spec.spec import load_scenario

SCENARIO = load_scenario("region-failover", {})
DENIED = PermissionError(errno.EPERM, "Operation not permitted")
CODES = {
    InputError(Problem("--sites", 3, "is too few")): ExitCode.BAD_INPUT,
    ModuleNotFoundError("No module named 'dd'", name="dd"): ExitCode.BAD_INPUT,
    ImportError("the link engine was built from other sources: build it again"): ExitCode.BAD_INPUT,
    MissingPrivilege(Problem("device", "/dev/net/tun", "has mode 0600")): ExitCode.MISSING_PRIVILEGE,
    DENIED: ExitCode.MISSING_PRIVILEGE,
    PermissionError(errno.EACCES, "Permission denied"): ExitCode.MISSING_PRIVILEGE,
    OSError(errno.ENOSPC, "No space left on device"): ExitCode.VOID,
    MemoryError(): ExitCode.VOID,
    EngineError("the link engine has ended"): ExitCode.VOID,
    NetworkGone("network lab ended"): ExitCode.VOID,
    KeyboardInterrupt(): ExitCode.INTERRUPTED,
    IndexError("tuple index out of range"): ExitCode.INTERNAL_ERROR,
    RuntimeError("dictionary changed size during iteration"): ExitCode.INTERNAL_ERROR,
    RecursionError("maximum recursion depth exceeded"): ExitCode.INTERNAL_ERROR,
    NotImplementedError("a subclass does it"): ExitCode.INTERNAL_ERROR,
    ImportError("cannot import name 'x'", name="helsewan.lab"): ExitCode.INTERNAL_ERROR,
    AssertionError(): ExitCode.INTERNAL_ERROR,
}

# Every verb with arguments that lead it to the function named, which fails in its place.
CLIENT = "helsewan.lab.client.client:Client"
NETWORK = "helsewan.topology.network_source:load_network"
VERBS = {
    "topology show": ([], NETWORK),
    "topology paths": ([], NETWORK),
    "topology export": (["--format", "json"], NETWORK),
    "policy list": ([], "helsewan.cli.tables.library:print_library"),
    "policy schema": ([], "helsewan.policies.language.json_schema:policy_json_schema"),
    "policy check": (["open"], NETWORK),
    "policy show": (["open"], "helsewan.policies.language.source:load_policy"),
    "policy diff": (["open", "open"], NETWORK),
    "policy explain": (["a", "b"], NETWORK),
    "rules dump": ([], "helsewan.lab.client.rules:raw_from_switches"),
    "rules packets": (["a", "b"], "helsewan.lab.proofs.packet_sets:packets"),
    "why": (["a", "b", "--packet", "icmp"], "helsewan.lab.proofs.why:why"),
    "verify": ([], "helsewan.lab.proofs.verification:verified"),
    "scenario list": ([], "helsewan.cli.tables.scenarios:print_scenarios"),
    "scenario new": (["mine"], "helsewan.scenarios.authoring.new:new_scenario"),
    "scenario validate": (["isolation"], "helsewan.scenarios.run.preparation:problems"),
    "scenario show": (["isolation"], "helsewan.scenarios.run.preparation:prepare"),
    "scenario schema": ([], "helsewan.scenarios.authoring.json_schema:scenario_json_schema"),
    "scenario run": (["region-failover"], "helsewan.scenarios.repetition.campaign:run_scenario"),
    "scenario compare": (["a", "b"], "helsewan.scenarios.repetition.compare_results:compare_results"),
    "scenario shrink": (["a"], "helsewan.scenarios.repetition.shrink:shrink"),
    "mutate": ([], "helsewan.verification.mutation.trial:run_trials"),
    "doctor": ([], "helsewan.lab.doctor.doctor:examine"),
    "up": ([], "helsewan.lab.server.up:run_lab"),
    "down": ([], CLIENT),
    "status": ([], CLIENT),
    "renew": ([], CLIENT),
    "ip": (["a"], CLIENT),
    "exec": (["a", "--", "true"], CLIENT),
    "shell": (["a"], CLIENT),
    "cli": ([], CLIENT),
    "capture": (["a"], CLIENT),
    "link list": ([], CLIENT),
    "link show": (["a"], CLIENT),
    "link set": (["a", "--down"], CLIENT),
    "link trace": (["a", "none"], CLIENT),
    "router power-off": (["a"], CLIENT),
    "router power-on": (["a"], CLIENT),
}


def verbs() -> Iterator[str]:
    """All verbs of the command line."""
    for command in cli.app.registered_commands:
        yield str(command.name)
    for group in cli.app.registered_groups:
        assert isinstance(group.typer_instance, typer.Typer)
        for command in group.typer_instance.registered_commands:
            yield f"{group.name} {command.name}"


@pytest.mark.parametrize("error", CODES, ids=lambda error: f"{type(error).__name__} {error}"[:40])
def test_the_code_of_an_error(error: BaseException) -> None:
    assert exit_code_of(error) is CODES[error]


def test_every_verb_is_tried() -> None:
    assert set(verbs()) == set(VERBS)


@pytest.mark.parametrize("error", [KeyError("no such key"), DENIED, NetworkRefused("busy", 3)], ids=["70", "77", "3"])
@pytest.mark.parametrize("verb", VERBS)
def test_an_error_in_a_verb(
    verb: str, error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and the code of the error; only NetworkRefused, with which a network says that it is void, is void."""
    argv, failing = VERBS[verb]
    module, _, name = failing.partition(":")

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(importlib.import_module(module), name, fail)
    if verb == "shell":
        monkeypatch.setattr("os.isatty", lambda _: True)
    monkeypatch.setattr(sys, "argv", ["helsewan", *verb.split(), *argv])
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = capsys.readouterr().err
    expected = error.status if isinstance(error, NetworkRefused) else exit_code_of(error)
    assert (end.value.code, said.count("\n")) == (expected, 1), said
    assert "void" not in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (IndexError("tuple index out of range"), ExitCode.INTERNAL_ERROR, "error"),
        (OSError(errno.EPERM, "set interface lo up: Operation not permitted"), ExitCode.MISSING_PRIVILEGE, "error"),
        (InputError(Problem("open files", 1024, "are too few")), ExitCode.BAD_INPUT, "error"),
        (EngineError("the link engine has ended"), ExitCode.VOID, "void"),
        (KeyboardInterrupt(), ExitCode.VOID, "void"),
    ],
)
def test_an_error_in_a_run(
    error: BaseException, code: ExitCode, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result's verdict, its exit code and what is printed agree."""

    def fail() -> None:
        raise error

    job = SimpleNamespace(directory=tmp_path, scenario=SCENARIO, debug=False)
    monkeypatch.setattr(run_worker.sandbox, "enter", fail)
    monkeypatch.setattr(run_worker, "orphaned", lambda: False)
    monkeypatch.setattr(run_worker, "read_job", lambda _: job)
    assert run_worker.main(0) == code
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["verdict"], result["exit_code"]) == (word, code)
    out = io.StringIO()
    print_verdict(result, Console(file=out, width=200))
    assert ("void" in out.getvalue().lower()) is (code == ExitCode.VOID), out.getvalue()
    assert result["validity"]["grade"] == ("void" if code == ExitCode.VOID else None)
    assert (getattr(error, "strerror", None) or str(error) or "interrupted") in out.getvalue()


@pytest.mark.parametrize(("status", "word"), [(70, "error"), (77, "error"), (3, "void"), (1, "void"), (-9, "void")])
def test_a_run_whose_first_process_wrote_no_result(
    status: int, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job: Any = SimpleNamespace(directory=tmp_path, scenario=SCENARIO)
    monkeypatch.setattr(launcher, "conclude", lambda _: None)
    code = launcher._conclude(job, status)["exit_code"]
    assert code == (status if word == "error" else ExitCode.VOID)
    assert capsys.readouterr().err.startswith(f"{word}: the run ended before its verdict: ")


@pytest.mark.parametrize("error", CODES, ids=lambda error: f"{type(error).__name__} {error}"[:40])
def test_an_error_in_a_running_lab(error: BaseException) -> None:
    """A client's exit code is that of the error in the network's process."""
    if isinstance(error, KeyboardInterrupt):
        return  # ends the network

    def fail(*_: object) -> None:
        raise error

    server = control_socket.Server(None, {"act": control_socket.Operation(NoArguments, fail)})  # type: ignore[arg-type]
    reply, _ = server.answer({"version": VERSION, "op": "act", "arguments": {}}, ())
    assert reply["status"] == CODES[error] and "void" not in reply["error"]


@pytest.mark.parametrize("error", [IndexError("x"), DENIED, EngineError("the link engine has ended")])
def test_a_lab_that_does_not_come_up(error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail() -> None:
        raise error

    ending = SimpleNamespace(reason=str(error), log="logs")
    lab = SimpleNamespace(is_up=False, run=fail, say=print, fail=lambda why, code: None, ending_of=lambda _: ending)
    monkeypatch.setattr(worker, "orphaned", lambda: False)
    monkeypatch.setattr(worker, "read_job", lambda _: SimpleNamespace(name="lab", debug=False))
    monkeypatch.setattr(worker, "RunningLab", lambda _: lab)
    monkeypatch.setattr(worker.sandbox, "enter", lambda: None)
    assert worker.main(0) == exit_code_of(error)


def test_a_sandbox_whose_program_cannot_be_imported(capsys: pytest.CaptureFixture[str]) -> None:
    """Python's own exit status for it is 1, that of a failed check."""
    assert first_process.main("helsewan.no_such_module", 0) == ExitCode.INTERNAL_ERROR
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(("status", "code"), [(70, 70), (1, 70), (3, 3), (-9, 3)])
def test_a_reader_of_rules_that_crashed_is_no_slow_switch(status: int, code: int) -> None:
    assert exit_code_of(rule_reader.RulesNotRead("the rules were not read", status)) == code


def test_a_reader_that_ends_is_no_error() -> None:
    """`helsewan … | head -1` ends like any program whose reader has gone: 128 + SIGPIPE, without a word."""
    script = (
        "import sys\nfrom helsewan.cli import main\nfrom helsewan.cli.tables import library\n"
        "def endless(*_):\n    while True:\n        print('x' * 1000)\n"
        "library.print_library = endless\nsys.argv = ['helsewan', 'policy', 'list']\nmain.main()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        assert (process.wait(), said) == (141, b"")
