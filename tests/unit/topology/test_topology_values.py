"""Single values of imported networks: names for labels, and places on the globe."""

from __future__ import annotations

from math import asin, cos, radians, sqrt

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from helsewan.topology.construction.geo import EARTH_RADIUS_KM, displaced, great_circle_km, midpoint
from helsewan.topology.construction.naming import MAX_LENGTH, NameBook, is_name, slug


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("Mo i Rana", "mo-i-rana"), ("Tromsø", "tromso"), ("Ålesund", "alesund"), ("Værøy", "vaeroy"),
        ("São Paulo", "sao-paulo"), ("Łódź", "lodz"), ("FLR/SOX", "flr-sox"), ("  --  ", ""), ("東京", ""),
    ],
)  # fmt: skip
def test_labels_become_plain_names(label: str, name: str) -> None:
    assert slug(label) == name


@given(st.lists(st.text(max_size=60), max_size=30))
def test_names_are_each_given_once(labels: list[str]) -> None:
    book = NameBook()
    names = [book.name(slug(label) or "node") for label in labels]
    assert len(set(names)) == len(names)
    assert all(is_name(name) and len(name) <= MAX_LENGTH + 3 for name in names)


@pytest.mark.parametrize("name", ["", "..", "../etc", "-f", "a b", "a\n", "é", "x" * 101, "$(id)", ".hidden"])
def test_what_is_no_name(name: str) -> None:
    assert not is_name(name)


def test_the_middle_of_places_on_both_sides_of_the_date_line() -> None:
    lat, lon = midpoint([(0.0, 179.0), (0.0, -179.0)])
    assert lat == pytest.approx(0) and abs(lon) == pytest.approx(180)
    assert midpoint([(10.0, 20.0)]) == (pytest.approx(10), pytest.approx(20))
    assert midpoint([(0.0, 0.0), (0.0, 180.0)]) == (0.0, 0.0)


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(-90, 90), st.floats(-90, 90))
@example(-89.0, 0.0, 74.0, 90.0)
def test_a_step_stays_on_the_globe(lat: float, lon: float, north_km: float, east_km: float) -> None:
    there = displaced(lat, lon, north_km, east_km)
    assert -90 <= there[0] <= 90 and -180 <= there[1] <= 180
    # Haversine: sin²(d/2) = sin²(Δφ/2) + cos φ1 cos φ2 sin²(Δλ/2), with Δφ <= δ = north / R (the clamp at a pole only
    # shortens it) and Δλ = ε / c, where ε = east / R and c = max(0.01, cos φ1). As cos φ2 <= cos φ1 + δ and
    # cos φ1 <= c, the last term is at most c (c + δ) (ε / 2c)² = (ε / 2)² (1 + δ / c): near a pole the step's parallel
    # is short beside the step, and the planar sqrt(north² + east²) too little by up to the root of 1 + δ / 0.01.
    north, east = abs(north_km) / EARTH_RADIUS_KM, abs(east_km) / EARTH_RADIUS_KM
    stretch = 1 + north / max(0.01, cos(radians(lat)))
    farthest_km = 2 * EARTH_RADIUS_KM * asin(sqrt(north**2 + east**2 * stretch) / 2)
    assert great_circle_km(lat, lon, *there) <= farthest_km + 1e-6  # 1 mm for rounding
