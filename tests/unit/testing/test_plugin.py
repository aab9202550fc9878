"""The pytest plugin as pytest sees it, without a network: markers, requirements, void outcomes and retries, leaks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from helsewan.testing import requirements
from helsewan.testing.leaks import Surroundings

USES_WAN = """
import pytest
from helsewan.testing import session

class Validity:
    def __init__(self, grade, *reasons):
        self.grade, self.reasons = type("Grade", (), {"value": grade}), reasons

class Emulation:
    grades = %s
    links = type("Links", (), {"changed": staticmethod(lambda: [])})
    def validity(self, since):
        return Validity(self.grades.pop(0), "the machine slept for 3 s")

class Wan:
    choice = type("Choice", (), {"seed": 7})
    emulation, topology_hash, began_s = Emulation(), "abc", 0.0
    events = [{"event": "port-down", "link": "a-b"}]
    import pathlib
    log_dir = pathlib.Path("logs")

@pytest.fixture
def wan(request):
    request.node.stash[session.USED] = Wan()
    return Wan()

def test_it(wan):
    %s
"""


def test_no_network_no_sandbox(pytester: pytest.Pytester) -> None:
    """Whoever has the distribution installed pays nothing for it."""
    pytester.makepyfile("import os, sys\ndef test_it():\n    assert 'helsewan.lab.emulation' not in sys.modules\n")
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_fixtures_of_the_same_names_are_the_users_own(pytester: pytest.Pytester) -> None:
    names = ("wan", "fault", "traffic", "capture", "isolation", "node", "controller", "two_sites", "emulated_link")
    own = "".join(f"@pytest.fixture\ndef {name}(): return 1\n" for name in names)
    uses = f"def test_it({', '.join(names)}):\n    from helsewan.emulation.sandbox import sandbox\n"
    pytester.makepyfile(f"import pytest\n{own}{uses}    assert wan == 1 and not sandbox.inside()\n")
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "--helsewan-void-retries", "1").assert_outcomes(passed=1)


def test_loading_it_loads_no_emulator() -> None:
    code = "import sys, helsewan.testing.plugin; print([m for m in sys.modules if m.split('.')[0] in {HEAVY}])"
    heavy = ("numpy", "scapy", "mininet", "pyroute2", "os_ken", "pydantic", "networkx", "scipy")
    argv = [sys.executable, "-c", code.replace("{HEAVY}", repr(heavy))]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("network(90)", "marker network: name its values (hint: network(sites=90))"),
        ("network(site=90)", "marker network: site is no key (hint: sites, source, seed"),
        ("network(reuse='for ever')", "marker network: reuse='for ever' (hint: one of session, module, function)"),
    ],
)
def test_a_wrong_marker_is_a_usage_error(pytester: pytest.Pytester, marker: str, said: str) -> None:
    pytester.makepyfile(f"import pytest\n@pytest.mark.{marker}\ndef test_it(wan): pass\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert said in result.stdout.str() + result.stderr.str()
    assert result.ret in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.TESTS_FAILED)
    assert "Traceback" not in result.stdout.str()


def test_requirements_skip_with_the_reason_or_fail(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.requires('program:no-such-program')\ndef test_it(): pass\n")
    skipped = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-rs")
    skipped.assert_outcomes(skipped=1)
    skipped.stdout.fnmatch_lines("*requires program:no-such-program: no-such-program is not installed*")
    failed = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--require-emulation")
    failed.assert_outcomes(errors=1)


def test_an_unknown_requirement_is_told(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.requires('warp')\ndef test_it(): pass\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert "marker requires: warp is unknown (hint: emulation, tun, ovs" in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("name", [*requirements.CHECKS, "program:sh"])
def test_every_requirement_is_answered(name: str) -> None:
    assert isinstance(requirements.lacking(name), str)


@pytest.mark.parametrize("body", ["pass", "assert 0"])
def test_void_is_neither_passed_nor_failed(pytester: pytest.Pytester, body: str) -> None:
    pytester.makepyfile(USES_WAN % (["void"], body))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-o", "junit_family=xunit2", "--junitxml=out.xml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "1 void" in result.stdout.str() and "passed" not in result.stdout.str().splitlines()[-1]
    result.stdout.fnmatch_lines(["*void: the machine could not keep up*", "*::test_it: the machine slept for 3 s"])
    report = Path("out.xml").read_text()
    for name, value in (("helsewan_seed", "7"), ("helsewan_topology", "abc"), ("helsewan_grade", "void")):
        assert f'<property name="{name}" value="{value}"' in report
    assert 'name="helsewan_version_helsewan"' in report


def test_a_void_test_runs_again_as_often_as_allowed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(USES_WAN % (["void", "void", "valid"], "pass"))
    arguments = ("-p", "no:cacheprovider", "--helsewan-void-retries")
    pytester.runpytest_subprocess(*arguments, "2").assert_outcomes(passed=1)
    assert "1 void" in pytester.runpytest_subprocess(*arguments, "1").stdout.str()


def test_a_failure_carries_what_the_network_knows(pytester: pytest.Pytester) -> None:
    (pytester.path / "logs").mkdir()
    (pytester.path / "logs/controller.log").write_text("all well\n2026 ERROR lost a switch\n")
    pytester.makepyfile(USES_WAN % (["suspect"], "assert 0"))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*helsewan: events*",
            '{"event": "port-down", "link": "a-b"}',
            "*helsewan: logs that complain*",
            "controller.log: 2026 ERROR lost a switch",
            "*helsewan: machine*",
            "suspect since the test began",
        ]
    )


def test_what_is_left_is_found() -> None:
    before = Surroundings.now()
    child = subprocess.Popen(["sleep", "60"])
    try:
        left = Surroundings.now().left(before)
        assert [f"process {child.pid} (sleep 60)"] == [each for each in left if str(child.pid) in each]
    finally:
        child.kill()
        child.wait()
    assert not [each for each in Surroundings.now().left(before) if str(child.pid) in each]
