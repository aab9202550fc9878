"""Adds hosts behind the hospitals of a testbed."""

from __future__ import annotations

from helsewan.emulation.nodes.lan import LanHost, add_lan_host
from helsewan.lab.testbed.testbed import Testbed
from helsewan.topology.model import Kind


def add_lan_hosts(testbed: Testbed, per_hospital: int) -> list[LanHost]:
    """Add ``per_hospital`` hosts behind every hospital, whose names resolve on every site. Raises InputError where a
    prefix has too few addresses."""
    hospitals = [site for site in testbed.network.sites if site.kind is Kind.HOSPITAL]
    hosts = [add_lan_host(testbed.net, testbed.site(site.id)) for site in hospitals for _ in range(per_hospital)]
    testbed.publish_names(f"{host.address4} {host.name}" for host in hosts)  # they have no IPv6
    return hosts
