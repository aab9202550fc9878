"""A small scenario as text, read and refused."""

from __future__ import annotations

import pytest

from helsewan.common.document import loads
from helsewan.common.errors import InputError
from helsewan.scenarios.spec.spec import Scenario, read_scenario

SMALL = """\
name: small
description: A scenario for tests.
network: {sites: 120, seed: 1}
policy: national
duration: 10 s
parameters:
  region: {type: region, default: midt, help: the region}
  calls: {type: integer, default: 4, help: calls}
  pause: {type: duration, default: 3 s, help: how long}
timeline:
  failure: {at: "${pause}", fail: {region_core: "${region}"}}
  repair: {at: 6 s, restore: {region_core: "${region}"}}
phases:
  before: {from: 1 s, to: failure}
  dark: {from: failure + 500 ms, to: repair}
  after: {from: repair, to: end}
traffic:
  calls: {kind: voice, service: voice, count: "${calls}", from: {kind: [hospital]}, to: {kind: [hospital]}}
  records:
    {kind: transactions, service: ehr, count: 2, from: {kind: [hospital]}, to: {kind: [hospital]},
     every: 1 s, request: 2 kB, response: 20 kB, deadline: 2 s}
  isolation: {kind: isolation, count: 10, every: 100 ms}
checks:
  gap: {metric: gap, class: voice, phase: dark, scope: surviving, limit: "< 50 ms"}
  answered: {metric: failed, traffic: records, limit: "== 0"}
  leaks: {metric: leaked, limit: "== 0"}
"""


def read(text: str = SMALL, **overrides: str) -> Scenario:
    named = {key.replace("__", "."): value for key, value in overrides.items()}
    return read_scenario(loads(text.encode(), "small.yaml"), named)


def problems(text: str = SMALL, **overrides: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(text, **overrides)
    return [str(problem) for problem in caught.value.problems]
