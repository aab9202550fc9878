"""The command line before a verb does anything: what `--help` shows and what assembling the command tree imports."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest
from command_line import REPOSITORY
from typer.testing import CliRunner

from helsewan.cli.main import app
from helsewan.common.exit_codes import ExitCode

VERBS = {
    *("topology", "policy", "rules", "verify", "scenario", "mutate", "doctor"),
    *("up", "down", "renew", "status", "ip", "exec", "shell", "cli", "capture", "link", "router", "why"),
}
GROUPS = ("topology", "policy", "rules", "scenario", "link", "router")

# What a verb may need and the help must not wait for. rich alone takes longer to load than all that the help needs.
HEAVY = {
    *("cryptography", "dd", "lxml", "mininet", "networkx", "numpy", "os_ken", "prometheus_client", "pydantic"),
    *("pygments", "rich", "ryu", "scapy", "scipy", "starlette", "uvicorn", "yaml", "asyncio", "ssl"),
    *(f"helsewan.{name}" for name in ("topology", "policies", "controller", "verification")),
    *(f"helsewan.{name}" for name in ("emulation", "lab", "scenarios", "cli.tables")),
}
TYPERS_OWN = {"pydantic"}  # where it is installed, Typer asks it for the types of a verb's parameters


@pytest.mark.parametrize("argv", [[], ["scenario"], ["link", "set"]])
def test_the_help_imports_nothing_heavy(argv: list[str]) -> None:
    """Neither other people's large packages nor our own are loaded to show a help page."""
    script = (
        "import sys\n"
        "from helsewan.cli.main import main\n"
        f"sys.argv = ['helsewan', *{argv!r}, '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Usage: " in done.stdout
    loaded = set(done.stderr.split())
    assert "helsewan.cli.main" in loaded
    assert loaded & HEAVY <= (TYPERS_OWN if argv else set())


@pytest.mark.parametrize("group", [[], *([name] for name in GROUPS)])
def test_every_verb_is_listed_with_a_whole_sentence(group: list[str]) -> None:
    """80 columns suffice for the first sentence of each verb's help."""
    done = CliRunner().invoke(app, [*group, "--help"], terminal_width=80)
    assert done.exit_code == ExitCode.PASS
    lines = done.stdout.partition("Commands:\n")[2].splitlines()
    listed = {line.split()[0]: line.strip().partition(" ")[2].strip() for line in lines if line.strip()}
    assert len(listed) >= 2
    for verb, sentence in listed.items():
        assert sentence.endswith(".") and not sentence.endswith("..."), (verb, sentence)
    if not group:
        assert set(listed) == VERBS


def test_the_version_is_the_distributions() -> None:
    """What a report of a defect needs; a verb beside it is not run."""
    stated = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    for argv in (["--version"], ["--version", "down"]):
        done = CliRunner().invoke(app, argv)
        assert (done.exit_code, done.stdout) == (ExitCode.PASS, f"helsewan {stated}\n")


@pytest.mark.parametrize("argv", [[], ["policy"]])
def test_no_verb_shows_the_help(argv: list[str]) -> None:
    """Bad input all the same: a script that forgets the verb must not go on."""
    command = [sys.executable, "-m", "helsewan.cli.main", *argv]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (ExitCode.BAD_INPUT, "")
    assert done.stdout.startswith("Usage: ") and "Commands:" in done.stdout


def test_exit_codes_are_as_documented() -> None:
    """Scripts and CI rely on the numbers."""
    assert {code.name: code.value for code in ExitCode} == {
        "PASS": 0,
        "FAIL": 1,
        "BAD_INPUT": 2,
        "VOID": 3,
        "INTERNAL_ERROR": 70,
        "MISSING_PRIVILEGE": 77,
        "INTERRUPTED": 130,
    }
