"""Sysctls of many namespaces, each with its own value."""

from __future__ import annotations

import pytest

from helsewan.emulation.sandbox.namespaces import Namespace

pytestmark = pytest.mark.emulated

COUNT = 150  # more than are written by one /proc
KEY = "ipv4/conf/default/rp_filter"


def value(namespace: Namespace) -> int:
    """The namespace's value of the sysctl."""
    with namespace.entered(), open(f"/proc/sys/net/{KEY}", encoding="ascii") as file:
        return int(file.read())


def test_each_namespace_has_its_own_values() -> None:
    namespaces = [Namespace() for _ in range(COUNT)]
    try:
        for number, namespace in enumerate(namespaces):
            namespace.sysctl({KEY: number % 3})
        assert [value(namespace) for namespace in namespaces] == [number % 3 for number in range(COUNT)]
    finally:
        for namespace in namespaces:
            namespace.close()


def test_a_sysctl_that_does_not_exist_is_named() -> None:
    namespace = Namespace()
    try:
        with pytest.raises(FileNotFoundError, match="ipv4/none"):
            namespace.sysctl({"ipv4/none": 1})
    finally:
        namespace.close()
