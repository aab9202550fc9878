"""Findings name the site that owns an address, whatever the lengths of the sites' prefixes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from helsewan.controller.openflow.entries import FlowRule, Table
from helsewan.controller.rules.generation import first_generation
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.topology.model import Site
from helsewan.topology.national.generator import national_network
from helsewan.verification.expected.owners import PrefixOwners
from helsewan.verification.findings import FindingKind
from helsewan.verification.static import verify


@dataclass(frozen=True)
class _Owner:
    """A site as far as its prefixes go."""

    id: str
    prefixes: tuple[IPv4Network | IPv6Network, ...]


@st.composite
def prefixes(draw: st.DrawFn) -> list[IPv4Network | IPv6Network]:
    """Prefixes of any lengths, which do not have to be disjoint."""
    found: dict[IPv4Network | IPv6Network, None] = {}
    for length in draw(st.lists(st.integers(8, 32), min_size=1, max_size=12)):
        found[IPv4Network((10 << 24 | draw(st.integers(0, 0xFFFF)) << 8, length), strict=False)] = None
    for length in draw(st.lists(st.integers(32, 128), max_size=6)):
        found[IPv6Network((0xFD << 120 | draw(st.integers(0, 0xFFFF)) << 64, length), strict=False)] = None
    return list(found)


@given(prefixes(), st.data())
def test_an_address_belongs_to_the_longest_prefix_that_contains_it(
    every: list[IPv4Network | IPv6Network], data: st.DataObject
) -> None:
    sites = [_Owner(f"site-{number}", (prefix,)) for number, prefix in enumerate(every)]
    owners = PrefixOwners(cast(list[Site], sites))
    of = data.draw(st.sampled_from(every))
    address = of[data.draw(st.integers(0, of.num_addresses - 1))]
    containing = [site for site in sites if address.version == site.prefixes[0].version and address in site.prefixes[0]]
    longest = max(containing, key=lambda site: site.prefixes[0].prefixlen)
    found = owners.of(address.version, int(address))
    assert found is not None and found.id == longest.id
    assert owners.of(4, 11 << 24) is None and owners.of(6, 1) is None


def test_findings_name_the_practice_with_the_short_prefix_whose_rule_is_missing() -> None:
    """Hospitals have a /24, practices and pharmacies a /28 beside others of the same /24."""
    network = national_network(90)
    plan = compile_policy(load_policy(library_path("national")), network)
    assert len({site.prefix4.prefixlen for site in network.sites}) > 1
    generation = first_generation(plan)
    rules = {router.id: generation.rules(router.id) for router in network.routers}
    site = next(each for each in network.sites if str(each.prefix4) == "10.0.123.96/28")
    router = site.accesses[0].router

    def delivers(rule: FlowRule) -> bool:
        to = dict(rule.match).get("ipv4_dst")
        return rule.table is Table.DELIVER and isinstance(to, tuple) and to[0] == "10.0.123.96"

    kept = tuple(rule for rule in rules[router].flows if not delivers(rule))
    assert len(kept) == len(rules[router].flows) - 1
    rules[router] = replace(rules[router], flows=kept)
    found = verify(plan, rules).violations
    assert {finding.towards for finding in found} == {site.id}
    assert {finding.kind for finding in found} == {FindingKind.BLACKHOLE, FindingKind.ONE_WAY}
