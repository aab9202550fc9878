"""The doctor: its assessment of facts, and that it runs for any user."""

from __future__ import annotations

import json
from typing import Any

import pytest

from helsewan.emulation.sandbox.procfs import parse_cpu_max
from helsewan.lab.doctor import doctor
from helsewan.lab.doctor.doctor import collect_facts, show
from helsewan.lab.doctor.doctor_items import (
    Item,
    Status,
    can_run,
    chain_bps,
    max_sites,
    of_capacity,
    of_dataplane,
    of_kernel,
    of_machine,
    of_privileges,
    of_programs,
)

GOOD: dict[str, Any] = {
    "root": True,
    "cores": 8,
    "memory_bytes": 32 << 30,
    "cgroup_cores": None,
    "steal": 0.0,
    "busy": 0.1,
    "clock_source": "tsc",
    "governor": "performance",
    "kernel": "6.1.0",
    "psi": True,
    "schedstat": True,
    "user_namespaces": True,
    "user_namespaces_setting": "",
    "scheduling": "rr",
    "open_files": 1 << 20,
    "locked_bytes": None,
    "problems": [],
    "open_vswitch": "3.1.0",
    "routers": "shared",
    "routers_reason": "",
    "jemalloc": True,
    "cudd": True,
    "missing_capabilities": (),
    "copies_descriptors": True,
    "cudd_build": "DD_CUDD=1 pip install dd",
}
MEASURED = {"timer_p99_us": 80.0, "line_us": 3.0, "router_us": 5.0, "namespaces_per_s": 900.0}


def items(**changes: Any) -> dict[str, Item]:
    """The doctor's items with some facts changed, by name."""
    facts = {**GOOD, **changes}
    found = [*of_programs(facts), *of_privileges(facts), *of_machine(facts), *of_kernel(facts)]
    return {item.name: item for item in (*found, *of_capacity(facts, MEASURED))}


def test_a_good_machine_has_no_warnings() -> None:
    assert {item.status for item in items().values()} == {Status.OK}


@pytest.mark.parametrize(
    ("changes", "name", "status"),
    [
        ({"cores": 1}, "cores", Status.WARNING),
        ({"memory_bytes": 1 << 29}, "memory available", Status.WARNING),
        ({"memory_bytes": 1 << 29}, "sites (memory, open files)", Status.WARNING),
        ({"cgroup_cores": 1.5}, "limit on processor time", Status.WARNING),
        ({"steal": 0.05}, "taken by the host now", Status.WARNING),
        ({"busy": 0.9}, "cores in use now", Status.WARNING),
        ({"clock_source": "hpet"}, "clock source", Status.WARNING),
        ({"clock_source": ""}, "clock source", Status.UNKNOWN),
        ({"governor": "powersave"}, "frequency governor", Status.WARNING),
        ({"psi": False}, "pressure-stall information", Status.WARNING),
        ({"schedstat": False}, "waits for a core", Status.WARNING),
        ({"user_namespaces": False}, "user namespaces", Status.WARNING),
        ({"user_namespaces": None}, "user namespaces", Status.UNKNOWN),
        ({"scheduling": "none"}, "priority", Status.WARNING),
        ({"open_files": 1024}, "open files (hard limit)", Status.WARNING),
        ({"locked_bytes": 65536, "root": False}, "locked memory", Status.WARNING),
        ({"missing_capabilities": ("SYS_ADMIN",)}, "capabilities", Status.WARNING),
        ({"copies_descriptors": False}, "copying descriptors", Status.WARNING),
        ({"cudd": False}, "CUDD (dd.cudd)", Status.WARNING),
        ({"jemalloc": False}, "jemalloc", Status.WARNING),
        ({"routers": "private", "routers_reason": "the package is not installed"}, "routers", Status.WARNING),
        ({"problems": [{"name": "ovs-ofctl", "reason": "is not installed", "hint": ""}]}, "ovs-ofctl", Status.MISSING),
    ],
)
def test_each_warning_has_a_reason(changes: dict[str, Any], name: str, status: Status) -> None:
    found = items(**changes)
    assert found[name].status is status
    assert found[name].why
    assert can_run(list(found.values())) is (status is not Status.MISSING)


def test_the_kernel_dataplane_lacks_what_was_refused() -> None:
    netem = {"name": "netem", "option": "CONFIG_NET_SCH_NETEM", "purpose": "delay", "needed": True, "refusal": ""}
    there, gone = of_dataplane([netem, {**netem, "refusal": "No such file or directory"}])
    assert (there.status, gone.status) == (Status.OK, Status.WARNING)
    assert "CONFIG_NET_SCH_NETEM" in gone.do
    assert can_run([gone]), "the link engine needs none of it"


def test_a_chain_is_as_fast_as_what_is_scarcest() -> None:
    """The engine's one thread, a switch's one thread, or the cores together."""
    assert chain_bps(64, 3.0, 5.0, is_shared=False) == pytest.approx(12_000 / 18e-6)
    assert chain_bps(64, 3.0, 50.0, is_shared=False) == pytest.approx(12_000 / 50e-6)
    assert chain_bps(64, 3.0, 50.0, is_shared=True) == pytest.approx(12_000 / 250e-6)
    assert chain_bps(2, 3.0, 5.0, is_shared=False) == pytest.approx(12_000 / (43e-6 / 1.6))


def test_sites_are_rounded_to_two_digits() -> None:
    assert max_sites(64 << 30, 20_000, "private") == 10_000
    assert max_sites(3 << 30, 1 << 20, "private") == 4_100
    assert max_sites(3 << 30, 1 << 20, "shared") == 5_900
    assert max_sites(1 << 28, 1 << 20, "private") == 0


def test_it_says_which_routers_run_here_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    shared, private = items()["routers"], items(routers="private")["routers"]
    assert "shared" in shared.value and (shared.status, private.status) == (Status.OK, Status.OK)
    refused = items(routers="private", routers_reason="the package is not installed")["routers"]
    assert refused.value.startswith("private") and refused.why.startswith("the package is not installed")
    monkeypatch.setenv("HELSEWAN_ROUTERS", "privat")
    facts = {**GOOD, **doctor._routers()}
    (wrong,) = (item for item in of_programs(facts) if item.name == "routers")
    assert wrong.status is Status.MISSING and wrong.why == "HELSEWAN_ROUTERS=privat: is unknown"


@pytest.mark.parametrize(("text", "cores"), [("max 100000", None), ("150000 100000", 1.5), ("-1 100000", None)])
def test_limits_of_control_groups(text: str, cores: float | None) -> None:
    assert parse_cpu_max(text) == cores


def test_it_looks_at_this_machine_and_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    facts = collect_facts()
    found = [*of_programs(facts), *of_privileges(facts), *of_machine(facts), *of_kernel(facts)]
    code = show(found, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert code == (0 if told["can_run"] else 2)
    assert {row["name"] for row in told["items"]} >= {"cores", "priority", "clock source"}
    assert show(found, as_json=False) == code
    assert "scenarios " in capsys.readouterr().out


def test_exit_code_2_when_no_scenario_can_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert show([Item("software", "unshare", Status.MISSING, "is not installed")], as_json=False) == 2
    assert "do not run here" in capsys.readouterr().out
