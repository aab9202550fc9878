"""The pytest plugin with real networks, in sessions of a user's own."""

from __future__ import annotations

import pytest
from small_network import DESCRIPTION

PAIR = """
    def test_pair(two_sites, emulated_link):
        assert " 0% packet loss" in two_sites.a.cmd("ping -c 3 -i 0.05", two_sites.b.IP())
        assert " 0% packet loss" in two_sites.a.cmd("ping -c 3 -i 0.05", two_sites.b.address6)
        other = emulated_link(rate="2 Mbit/s", loss="100 %")
        assert "100% packet loss" in other.a.cmd("ping -c 1 -W 0.2", other.b.IP())
        other.set(loss="none")
        assert " 0% packet loss" in other.a.cmd("ping -c 1 -W 5", other.b.IP())
        assert other.counters()["drop_loss"] >= 1
"""
NETWORK = """
    import pytest, socket
    from helsewan.testing import *

    pytestmark = pytest.mark.network(source="small.yaml", policy="open")
    A, B, C = "hospital-a", "hospital-b", "gp-c"

    def test_programs(wan, node):
        assert_reachable(wan, A, B)
        done = wan.run_on(C, "ping", "-c", 1, wan.address_of(A))
        assert done.status == 0 and "1 received" in done.stdout
        assert {name for _, name in wan.run_on(A, socket.if_nameindex)} >= {"wan0", "wan1"}
        with pytest.raises(ZeroDivisionError):
            wan.run_on(A, lambda: 1 / 0)
        with pytest.raises(TimeoutError, match="sleep 60: still running after 100 ms"):
            wan.run_on(B, ["sleep", "60"], timeout="100 ms")
        assert node(C).cmd("echo here").strip() == "here"
        server = wan.start_on(B, ["python3", "-m", "http.server", "8000"])
        connection = eventually(lambda: tried(wan), within="20 s")
        connection.close()
        assert server.is_running and node("north").name == "north"

    def tried(wan):
        try:
            return wan.connect(A, B, 8000)
        except OSError:
            return None

    def test_everything_is_undone_1(wan, fault, capture):
        fault.set_link(A, loss="30 %", delay="50 ms")
        fault.power_off("middle")
        undo = fault.fail(link="south-north")
        undo()
        fault.blackhole("middle-south")
        with capture("south-north") as file:
            pass
        assert file.stat().st_size > 0

    def test_everything_is_undone_2(wan, traffic, node):
        assert wan.emulation.links.changed() == [] and not wan.testbed.failed_routers
        eventually(lambda: wan.run_on(A, "ping", "-c", 1, "-W", 1, wan.address_of(B)).status == 0)
        assert_loss(traffic(A, B, every="10 ms", duration="500 ms").wait(), "0 %")
        assert_delay(wan, A, B, at_least="10 ms", at_most="40 ms")
        with pytest.raises(OSError):
            wan.connect(A, B, 8000, "500 ms")  # the server was killed
        eventually(lambda: wan.run_on(C, "ping", "-c", 1, "-W", 1, wan.address_of(B)).status == 0)
        assert wan.emulation.status()["dead"] == [] and node("gp-c").cmd("echo here").strip() == "here"

    def test_failover(wan):
        assert_failover(wan, C, B, "", "2 s", link="middle-south")

    def test_loss_is_found(wan, fault, traffic):
        fault.set_link(C, loss="50 %")
        with pytest.raises(AssertionError, match="datagrams were lost"):
            assert_loss(traffic(C, B, every="5 ms", duration="1 s").wait(), "1 %")
"""
FAILS = """
    import pytest

    @pytest.mark.network(source="small.yaml", policy="open", reuse="function")
    def test_it(wan, fault):
        fault.set_link("gp-c", delay="30 ms")
        assert 0, "on purpose"
"""
ISOLATED = """
    import pytest
    from helsewan.testing import assert_isolated

    pytestmark = pytest.mark.network(source="small.yaml", policy="POLICY")

    def test_isolation(isolation):
        isolation.require(probes=40)

    def test_apart(wan):
        assert_isolated(wan, "gp-c", "hospital-b")
"""


@pytest.fixture
def session(pytester: pytest.Pytester) -> pytest.Pytester:
    """A user's folder with a description of a network."""
    (pytester.path / "small.yaml").write_text(DESCRIPTION)
    return pytester


def run(session: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return session.runpytest_subprocess("-p", "no:cacheprovider", "--helsewan-void-retries", "2", *arguments)


def test_a_pair(session: pytest.Pytester) -> None:
    session.makepyfile(PAIR)
    result = run(session)
    result.assert_outcomes(passed=1)
    assert "left behind" not in result.stdout.str()


def test_a_network(session: pytest.Pytester) -> None:
    session.makepyfile(NETWORK)
    result = run(session)
    result.assert_outcomes(passed=5)
    assert "left behind" not in result.stdout.str()


def test_a_failure_carries_the_links_that_differ(session: pytest.Pytester) -> None:
    session.makepyfile(FAILS)
    result = run(session)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*helsewan: links changed*", '*"gp-c/wan0"*"delay_us": 30000*', "*helsewan: machine*"])


@pytest.mark.parametrize(("policy", "passed"), [("national", 2), ("open", 1)])
def test_isolation(session: pytest.Pytester, policy: str, passed: int) -> None:
    session.makepyfile(ISOLATED.replace("POLICY", policy))
    result = run(session)
    result.assert_outcomes(passed=passed, failed=2 - passed)
    if policy == "open":
        result.stdout.fnmatch_lines("*gp-c reaches hospital-b, by the rules in force:*")


def test_workers_share_nothing(session: pytest.Pytester) -> None:
    session.makepyfile(PAIR)
    session.makepyfile(test_network=NETWORK)
    run(session, "-n", "2", "--dist", "loadgroup").assert_outcomes(passed=6)
