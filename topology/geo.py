"""Distances and bearings on a spherical Earth. Degrees in, kilometres and degrees out."""

from __future__ import annotations

from math import asin, atan2, cos, degrees, radians, sin, sqrt

EARTH_RADIUS_KM = 6371.0088  # mean radius R1, IUGG

Vector = tuple[float, float, float]


def great_circle_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Distance over the surface (haversine formula)."""
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
    """The point a few kilometres away (flat-Earth step: fine below 100 km and off the poles)."""
    km_per_degree = radians(1) * EARTH_RADIUS_KM
    return lat + north_km / km_per_degree, lon + east_km / (km_per_degree * cos(radians(lat)))


def unit_vector(lat: float, lon: float) -> Vector:
    """The point on the unit sphere: the greater the dot product of two points, the nearer they are."""
    phi, lam = radians(lat), radians(lon)
    return cos(phi) * cos(lam), cos(phi) * sin(lam), sin(phi)
