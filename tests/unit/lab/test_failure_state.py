"""Failures that overlap: a line comes back when the last of what keeps it dark does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from helsewan.lab.testbed.failure_state import DarkLinks, FailureState, Target
from helsewan.topology.national.generator import national_network

NETWORK = national_network(sites=100, seed=1)
LINK = NETWORK.links[0]
A, B = Target("a", routers=(LINK.a,)), Target("b", routers=(LINK.b,))
FIBRE = Target("fibre", links=(LINK.id,))
HOMED = next(site for site in NETWORK.sites if site.homing[0] == LINK.a)
ACCESS = Target("access line", accesses=((HOMED.id, 0),))
NOTHING = DarkLinks((), ())


def test_a_router_takes_its_fibres_and_access_lines_along() -> None:
    outage = FailureState(NETWORK)
    lines = outage.strike(A)
    assert set(lines.links) == {link.id for link in NETWORK.links if LINK.a in (link.a, link.b)}
    assert {site for site, _ in lines.accesses} == {site.id for site in NETWORK.sites if LINK.a in site.homing}
    assert outage.mend(A) == lines


def test_a_cut_fibre_stays_dark_when_the_router_at_its_end_returns() -> None:
    outage = FailureState(NETWORK)
    assert outage.strike(FIBRE).links == (LINK.id,)
    assert LINK.id not in outage.strike(A).links
    assert LINK.id not in outage.mend(A).links
    assert outage.mend(FIBRE) == DarkLinks((LINK.id,), ())


def test_a_cut_access_line_stays_dark_when_its_router_returns() -> None:
    outage = FailureState(NETWORK)
    assert outage.strike(ACCESS) == DarkLinks((), ((HOMED.id, 0),))
    assert (HOMED.id, 0) not in outage.strike(A).accesses
    assert (HOMED.id, 0) not in outage.mend(A).accesses
    assert outage.mend(ACCESS) == DarkLinks((), ((HOMED.id, 0),))


def test_a_fibre_between_two_dead_routers_waits_for_both() -> None:
    outage = FailureState(NETWORK)
    outage.strike(A)
    outage.strike(B)
    assert LINK.id not in outage.mend(A).links
    assert LINK.id in outage.mend(B).links


def test_what_never_failed_or_failed_already_changes_nothing() -> None:
    outage = FailureState(NETWORK)
    assert outage.mend(A) == NOTHING
    outage.strike(A)
    assert outage.strike(A) == NOTHING


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([A, B, FIBRE, ACCESS]))))
def test_every_line_that_went_dark_lights_up_once_all_is_mended(steps: list[tuple[bool, Target]]) -> None:
    """Whatever order faults and repairs come in, no line is lit or cut twice, and none is forgotten."""
    outage, dark = FailureState(NETWORK), set[object]()
    for failing, target in [*steps, *((False, target) for target in (A, B, FIBRE, ACCESS))]:
        lines = outage.strike(target) if failing else outage.mend(target)
        changed = {*lines.links, *lines.accesses}
        assert changed.isdisjoint(dark) if failing else changed <= dark
        dark = dark | changed if failing else dark - changed
    assert not dark
