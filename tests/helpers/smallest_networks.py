"""The smallest networks of every kind, as files: what has one of something, or none."""

from __future__ import annotations

_HEAD = """
name: {name}
pops:
  north: {{lat: 69.6, lon: 18.9}}
"""
_SITE = "  {name}: {{kind: {kind}, lines: [{{router: {router}, rate: 100 Mbit/s, delay: 1 ms}}]}}\n"
_SOUTH = "  south: {lat: 59.9, lon: 10.7}\nlinks:\n  north-south: {a: north, b: south, rate: 1 Gbit/s, delay: 5 ms}\n"


def _network(name: str, sites: tuple[tuple[str, str, str], ...], south: bool = False) -> str:
    lines = [_SITE.format(name=site, kind=kind, router=router) for site, kind, router in sites]
    return _HEAD.format(name=name) + (_SOUTH if south else "") + "sites:\n" + "".join(lines)


HOSPITAL = ("hospital-a", "hospital", "north")
SMALLEST = {
    # one router, no link, nobody to talk to
    "one-site": _network("one-site", (HOSPITAL,)),
    # one router, no link; the national policy keeps the two apart
    "two-sites": _network("two-sites", (HOSPITAL, ("pharmacy-b", "pharmacy", "north"))),
    # a link, and a router without sites
    "bare-router": _network("bare-router", (HOSPITAL,), south=True),
    # a link and a site at each end
    "one-link": _network("one-link", (HOSPITAL, ("gp-b", "gp", "south")), south=True),
}
