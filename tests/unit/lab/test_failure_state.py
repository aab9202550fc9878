"""Overlapping failures: a link comes up when the last failure that keeps it down is restored."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from helsewan.lab.testbed.failure_state import FailureState, LinkSet, Target
from helsewan.topology.national.generator import national_network

NETWORK = national_network(sites=100, seed=1)
LINK = NETWORK.links[0]
A, B = Target("a", routers=(LINK.a,)), Target("b", routers=(LINK.b,))
FAILED_LINK = Target("link", links=(LINK.id,))
HOMED = next(site for site in NETWORK.sites if site.homing[0] == LINK.a)
ACCESS = Target("access line", accesses=((HOMED.id, 0),))
NOTHING = LinkSet((), ())


def test_a_failed_router_takes_its_links_and_access_links_down() -> None:
    state = FailureState(NETWORK)
    lines = state.fail(A)
    assert set(lines.links) == {link.id for link in NETWORK.links if LINK.a in (link.a, link.b)}
    assert {site for site, _ in lines.accesses} == {site.id for site in NETWORK.sites if LINK.a in site.homing}
    assert state.restore(A) == lines


def test_a_failed_link_stays_down_when_the_router_at_its_end_is_restored() -> None:
    state = FailureState(NETWORK)
    assert state.fail(FAILED_LINK).links == (LINK.id,)
    assert LINK.id not in state.fail(A).links
    assert LINK.id not in state.restore(A).links
    assert state.restore(FAILED_LINK) == LinkSet((LINK.id,), ())


def test_a_cut_access_line_stays_dark_when_its_router_returns() -> None:
    state = FailureState(NETWORK)
    assert state.fail(ACCESS) == LinkSet((), ((HOMED.id, 0),))
    assert (HOMED.id, 0) not in state.fail(A).accesses
    assert (HOMED.id, 0) not in state.restore(A).accesses
    assert state.restore(ACCESS) == LinkSet((), ((HOMED.id, 0),))


def test_a_link_between_two_failed_routers_needs_both() -> None:
    state = FailureState(NETWORK)
    state.fail(A)
    state.fail(B)
    assert LINK.id not in state.restore(A).links
    assert LINK.id in state.restore(B).links


def test_what_never_failed_or_failed_already_changes_nothing() -> None:
    state = FailureState(NETWORK)
    assert state.restore(A) == NOTHING
    state.fail(A)
    assert state.fail(A) == NOTHING


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([A, B, FAILED_LINK, ACCESS]))))
def test_every_line_that_went_dark_lights_up_once_all_is_mended(steps: list[tuple[bool, Target]]) -> None:
    """Whatever order faults and repairs come in, no line is lit or cut twice, and none is forgotten."""
    state, dark = FailureState(NETWORK), set[object]()
    for failing, target in [*steps, *((False, target) for target in (A, B, FAILED_LINK, ACCESS))]:
        lines = state.fail(target) if failing else state.restore(target)
        changed = {*lines.links, *lines.accesses}
        assert changed.isdisjoint(dark) if failing else changed <= dark
        dark = dark | changed if failing else dark - changed
    assert not dark
