"""Distances and bearings on a spherical Earth. Coordinates and bearings are in degrees, distances in kilometres."""

from __future__ import annotations

from collections.abc import Iterable
from math import asin, atan2, cos, degrees, radians, sin, sqrt

EARTH_RADIUS_KM = 6371.0088  # mean radius R1, IUGG

Vector = tuple[float, float, float]


def great_circle_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Great-circle distance (haversine formula)."""
    half_lat, half_lon = radians(lat2 - lat1) / 2, radians(lon2 - lon1) / 2
    chord = sin(half_lat) ** 2 + cos(radians(lat1)) * cos(radians(lat2)) * sin(half_lon) ** 2
    return 2 * EARTH_RADIUS_KM * asin(sqrt(chord))


def bearing_deg(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Initial bearing from the first point to the second, clockwise from north, 0 to 360."""
    turn, phi1, phi2 = radians(lon2 - lon1), radians(lat1), radians(lat2)
    east = sin(turn) * cos(phi2)
    north = cos(phi1) * sin(phi2) - sin(phi1) * cos(phi2) * cos(turn)
    return degrees(atan2(east, north)) % 360


def displaced(lat: float, lon: float, north_km: float, east_km: float) -> tuple[float, float]:
    """The point (lat, lon) displaced by up to 100 km, in the flat-Earth approximation; latitude is clamped at the
    poles."""
    km_per_degree = radians(1) * EARTH_RADIUS_KM
    east = lon + east_km / (km_per_degree * max(0.01, cos(radians(lat))))
    return min(90.0, max(-90.0, lat + north_km / km_per_degree)), east if -180 <= east <= 180 else (
        east + 180
    ) % 360 - 180


def midpoint(points: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """The midpoint (lat, lon) of points: the direction of the mean of their unit vectors, or the first point if the
    mean vanishes."""
    places = list(points)
    x, y, z = (sum(parts) for parts in zip(*(unit_vector(*place) for place in places), strict=True))
    if x * x + y * y + z * z < 1e-12:
        return places[0]
    return degrees(atan2(z, sqrt(x * x + y * y))), degrees(atan2(y, x))


def unit_vector(lat: float, lon: float) -> Vector:
    """The point on the unit sphere; the larger the dot product of two such points, the nearer they are."""
    phi, lam = radians(lat), radians(lon)
    return cos(phi) * cos(lam), cos(phi) * sin(lam), sin(phi)
