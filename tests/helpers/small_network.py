"""A network that is up in a few seconds: three routers in a ring, three sites. ``DESCRIPTION`` is its file."""

DESCRIPTION = """
name: small
pops:
  north: {lat: 69.6, lon: 18.9}
  middle: {lat: 63.4, lon: 10.4}
  south: {lat: 59.9, lon: 10.7}
links:
  north-middle: {a: north, b: middle, rate: 1 Gbit/s, delay: 5 ms}
  middle-south: {a: middle, b: south, rate: 1 Gbit/s, delay: 3 ms}
  south-north: {a: south, b: north, rate: 1 Gbit/s, delay: 9 ms}
sites:
  hospital-a: {kind: hospital, lines: [{router: north, rate: 100 Mbit/s, delay: 1 ms},
                                       {router: middle, rate: 34 Mbit/s, delay: 2 ms}]}
  hospital-b: {kind: hospital, lines: [{router: south, rate: 100 Mbit/s, delay: 1 ms}]}
  gp-c: {kind: gp, lines: [{router: middle, rate: 4 Mbit/s, delay: 1 ms}]}
"""
