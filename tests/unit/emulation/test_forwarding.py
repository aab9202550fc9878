"""Which kind of routers is chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from helsewan.common.errors import InputError
from helsewan.emulation.links.link_backend import Dataplane
from helsewan.emulation.routers import forwarding as module
from helsewan.emulation.routers.forwarding import Forwarding, forwarding, shared_refusal
from helsewan.emulation.routers.switches import RouterKind


@pytest.fixture(name="refusal")
def _refusal(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(module, "shared_refusal", lambda: request.param)


@pytest.mark.parametrize("refusal", [""], indirect=True)
@pytest.mark.usefixtures("refusal")
def test_routers_are_shared_where_they_can_be() -> None:
    assert forwarding() == Forwarding(Dataplane.ENGINE, RouterKind.SHARED)
    assert forwarding("engine", "private") == Forwarding(Dataplane.ENGINE, RouterKind.PRIVATE)
    assert forwarding("kernel").routers is RouterKind.PRIVATE
    with pytest.raises(InputError, match="no shared memory"):
        forwarding("kernel", "shared")


@pytest.mark.parametrize("refusal", ["the package openvswitch-switch-dpdk is not installed"], indirect=True)
@pytest.mark.usefixtures("refusal")
def test_where_they_cannot_the_reason_is_kept() -> None:
    found = forwarding()
    assert found.routers is RouterKind.PRIVATE
    assert found.as_json()["router_kind_reason"] == "the package openvswitch-switch-dpdk is not installed"
    with pytest.raises(InputError, match="is not installed") as error:
        forwarding(routers="shared")
    assert "install openvswitch-switch-dpdk" in str(error.value)


@pytest.mark.parametrize(("dataplane", "routers"), [("magic", ""), ("", "magic")])
def test_unknown_names_are_refused_with_the_known(dataplane: str, routers: str) -> None:
    with pytest.raises(InputError, match=r"one of (engine, kernel|shared, private)"):
        forwarding(dataplane, routers)


@pytest.mark.parametrize(
    ("printed", "refusal"),
    [
        ("ovs-vswitchd (Open vSwitch) 3.1.0\nDPDK 22.11.3\n", ""),
        ("ovs-vswitchd (Open vSwitch) 3.3.0\n", ""),
        ("ovs-vswitchd (Open vSwitch) 2.17.9\n", "2.17 cannot sleep; 3.1 is needed"),
        ("something else\n", "cannot sleep"),
    ],
)
def test_the_version_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, printed: str, refusal: str) -> None:
    program = tmp_path / "ovs-vswitchd-dpdk"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{printed}END\n")
    program.chmod(0o755)
    monkeypatch.setattr(module, "PROGRAM", program)
    shared_refusal.cache_clear()
    found = shared_refusal()
    shared_refusal.cache_clear()
    assert refusal in found if refusal else found == ""


def test_a_program_that_is_missing_or_does_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for program, reason in ((tmp_path / "none", "not installed"), (Path("/bin/false"), "does not run")):
        monkeypatch.setattr(module, "PROGRAM", program)
        shared_refusal.cache_clear()
        assert reason in shared_refusal()
        shared_refusal.cache_clear()
