"""A policy without mistakes, as text to make mistakes in."""

from __future__ import annotations

GOOD = """\
name: good
classes:
  voice:
    queue: 1
    dscps: [EF]
    scheduling: strict
    police: [{up_to: 2 Mbit/s, share: 40 %}, {share: 20 %}]
    buffer: 20 ms
    targets: {delay: 100 ms, jitter: 50 ms, loss: 0.1 %}
  rest:
    queue: 2
    dscps: [BE, AF11]
    scheduling: weighted
    weight: 10
    buffer: 200 ms
    targets: {delay: 1 s, jitter: 1 s, loss: 1 %}
services:
  call: {protocol: udp, ports: [16384-16639], class: voice}
  mail: {protocol: tcp, ports: [25, 8080], class: rest}
  ping: {protocol: icmp, class: rest}
vpns:
  care:
    members: {kind: [hospital, municipality, datacentre, service]}
    import: [care, primary]
    export: [care]
  primary:
    members: {kind: [gp, pharmacy]}
    import: [care]
    export: [primary]
contracts:
  calls:
    from: {kind: [hospital]}
    to: {kind: [hospital]}
    both_ways: true
    services: [call]
  messages:
    from: {kind: [gp, hospital]}
    to: {kind: [service], tags: [messages]}
    services: [mail, ping]
"""


EXCEPTION = """\
exceptions:
  pictures:
    from: {kind: [hospital]}
    to: {kind: [hospital]}
    services: [mail]
    reason: help while they move
    until: 2027-02-01
"""
