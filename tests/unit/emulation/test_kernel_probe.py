"""A kernel that lacks features is refused, with a line for each, before anything is created."""

from __future__ import annotations

import errno
import os

import pytest

from helsewan.common.errors import InputError
from helsewan.emulation.kernel import probe
from helsewan.emulation.kernel.probe import KernelFeature, KernelPart

NETEM = KernelPart("netem", "CONFIG_NET_SCH_NETEM", "delay, jitter and loss")
CODEL = KernelPart("codel", "CONFIG_NET_SCH_CODEL", "CoDel", needed=False)
VETH = KernelPart("veth", "CONFIG_VETH", "the ends of links")


def found(*findings: KernelFeature) -> object:
    return lambda: findings


def test_each_missing_part_has_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        probe,
        "probe",
        found(KernelFeature(NETEM, "No such file or directory"), KernelFeature(VETH, "no"), KernelFeature(CODEL, "no")),
    )
    with pytest.raises(InputError) as refused:
        probe.require()
    assert [str(problem) for problem in refused.value.problems] == [
        "--dataplane kernel: 'netem' is not in this kernel: required for delay, jitter and loss "
        "(No such file or directory) (hint: boot one with CONFIG_NET_SCH_NETEM; the link engine needs none of it)",
        "--dataplane kernel: 'veth' is not in this kernel: required for the ends of links "
        "(no) (hint: boot one with CONFIG_VETH; the link engine needs none of it)",
    ]


def test_a_part_that_nothing_needs_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "probe", found(KernelFeature(NETEM), KernelFeature(CODEL, "no")))
    probe.require()


def test_who_may_not_try_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> tuple[KernelFeature, ...]:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(probe, "probe", refused)
    with pytest.raises(InputError, match=r"may not be tried: .* \(hint: run as root or with sudo\)"):
        probe.require()
