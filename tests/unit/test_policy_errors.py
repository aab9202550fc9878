"""What a user reads for each kind of bad policy: one golden file, one section a case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import policy_golden
import pytest
from policy_network import small_network

from policies.compile import compile_policy, library_path, load_policy
from topology.errors import InputError
from topology.model import Kind, Network

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

# case -> what stands in GOOD, and what to write instead
CASES: dict[str, tuple[str, str]] = {
    "unknown-key": ("    both_ways: true", "    bothways: true"),
    "missing-key": ("    buffer: 20 ms\n", ""),
    "wrong-unit": ("buffer: 20 ms", "buffer: 20 msec"),
    "no-unit": ("buffer: 20 ms", "buffer: 20"),
    "rate-without-unit": ("up_to: 2 Mbit/s", "up_to: 2"),
    "share-too-large": ("share: 40 %", "share: 140 %"),
    "unknown-dscp": ("[BE, AF11]", "[BE, AF15]"),
    "dscp-out-of-range": ("[BE, AF11]", "[BE, 64]"),
    "unknown-kind": ("{kind: [gp, pharmacy]}", "{kind: [gp, farmacy]}"),
    "unknown-region": ("    from: {kind: [hospital]}", "    from: {region: [midtnorge]}"),
    "empty-selector": ("    from: {kind: [hospital]}", "    from: {}"),
    "empty-list": ("    from: {kind: [hospital]}", "    from: {kind: []}"),
    "selector-key-without-value": ("    from: {kind: [hospital]}", "    from: {kind: [hospital], region: }"),
    "no-export": ("    export: [primary]", "    export: []"),
    "boolean-as-text": ("both_ways: true", "both_ways: yes"),
    "protocol": ("{protocol: icmp", "{protocol: sctp"),
    "port-out-of-range": ("[25, 8080]", "[25, 80800]"),
    "port-zero": ("[25, 8080]", "[0, 8080]"),
    "ports-turned-round": ("[16384-16639]", "[16639-16384]"),
    "ports-as-words": ("[25, 8080]", "[smtp]"),
    "bad-name": ("  messages:", "  Messages to all:"),
    "weight-zero": ("weight: 10", "weight: 0"),
    "queue-as-text": ("queue: 2", 'queue: "2"'),
    "queue-out-of-range": ("queue: 2", "queue: 8"),
    "queue-twice": ("queue: 2", "queue: 1"),
    "strict-after-weighted": ("queue: 2", "queue: 0"),
    "weighted-without-weight": ("    weight: 10\n", ""),
    "strict-without-policer": ("    police: [{up_to: 2 Mbit/s, share: 40 %}, {share: 20 %}]\n", ""),
    "strict-with-weight": ("scheduling: strict", "scheduling: strict\n    weight: 5"),
    "no-buffer": ("buffer: 20 ms", "buffer: 0 ms"),
    "dscp-in-two-classes": ("[BE, AF11]", "[BE, EF]"),
    "dscp-twice": ("[BE, AF11]", "[BE, AF11, CS0]"),
    "same-traffic-class": ("[BE, AF11]", "[CS5, BE]"),
    "no-best-effort": ("[BE, AF11]", "[AF11]"),
    "shares-above-line": ("    weight: 10", "    weight: 10\n    police: [{share: 70 %}]"),
    "shares-above-every-line": (
        "    weight: 10",
        "    weight: 10\n    police: [{up_to: 1 Mbit/s, share: 61 %}, {share: 90 %}]",
    ),
    "too-many-vpns": (
        "contracts:\n",
        "".join(f"  v{n}: {{members: {{tags: [none]}}, export: [x]}}\n" for n in range(999)) + "contracts:\n",
    ),
    "steps-not-rising": ("{share: 20 %}]", "{up_to: 1 Mbit/s, share: 30 %}, {share: 20 %}]"),
    "step-never-used": ("{up_to: 2 Mbit/s, share: 40 %}", "{share: 40 %}"),
    "steps-without-rest": ("{share: 20 %}]", "{up_to: 10 Mbit/s, share: 20 %}]"),
    "unknown-path": ("    weight: 10", "    weight: 10\n    path: least-cost"),
    "path-without-demand": ("    weight: 10", "    weight: 10\n    path: least-loaded"),
    "paths-without-busy": ("contracts:\n", "paths: {fill: 80 %}\ncontracts:\n"),
    "no-room-for-demand": ("contracts:\n", "paths: {busy: 50 %, fill: 20 %}\ncontracts:\n"),
    "no-room-on-these-paths": ("contracts:\n", "paths: {busy: 50 %, fill: 40 %}\ncontracts:\n"),
    "unknown-class": ("[25, 8080], class: rest", "[25, 8080], class: best"),
    "icmp-with-ports": ("{protocol: icmp, class", "{protocol: icmp, ports: [8], class"),
    "tcp-without-ports": ("{protocol: tcp, ports: [25, 8080], class", "{protocol: tcp, class"),
    "services-overlap": (
        "  ping: {protocol: icmp, class: rest}",
        "  ping: {protocol: icmp, class: rest}\n  web: {protocol: tcp, ports: [8000-8100], class: rest}",
    ),
    "service-overlaps-itself": ("[25, 8080]", "[25, 20-30]"),
    "two-pings": (
        "  ping: {protocol: icmp, class: rest}",
        "  ping: {protocol: icmp, class: rest}\n  echo: {protocol: icmp, class: voice}",
    ),
    "unknown-site": ("    from: {kind: [hospital]}", "    from: {site: [h-st-olavs, h-bodo]}"),
    "unknown-import": ("    import: [care]", "    import: [caer]"),
    "site-in-two-vpns": ("{kind: [gp, pharmacy]}", "{kind: [gp, pharmacy, hospital]}"),
    "sites-in-no-vpn": ("{kind: [gp, pharmacy]}", "{kind: [pharmacy]}"),
    "unknown-service": ("services: [call]", "services: [call, mial]"),
    "no-way-there": ("    import: [care]", "    import: []"),
    "no-way-back": ("    import: [care, primary]", "    import: [care]"),
    "no-way-within": ("    import: [care, primary]", "    import: [primary]"),
    "several-at-once": (
        "  ping: {protocol: icmp, class: rest}\nvpns:\n  care:\n    members: {kind: [hospital, municipality,",
        "  ping: {protocol: icmp, class: echo}\nvpns:\n  care:\n    members: {kind: [municipality,",
    ),
}


def message(text: str) -> str:
    """What is reported for a policy text."""
    with pytest.raises(InputError) as caught:
        compile_policy(policy_golden.policy(text, "bad.yaml"), small_network())
    return str(caught.value)


def test_good_policy_has_no_problem() -> None:
    assert compile_policy(policy_golden.policy(GOOD), small_network()).policy == "good"


@pytest.mark.parametrize("case", CASES)
def test_each_case_changes_the_good_policy_in_one_place(case: str) -> None:
    old, new = CASES[case]
    assert GOOD.count(old) == 1
    assert old != new


def test_messages_are_the_golden_ones() -> None:
    sections = (f"== {case}\n{message(GOOD.replace(old, new))}\n" for case, (old, new) in CASES.items())
    policy_golden.check("errors.txt", "\n".join(sections))


def with_twins(vpn_members: str) -> tuple[str, Network]:
    """The good policy with a third VPN for a pharmacy that has the address of gp-1."""
    network = small_network()
    one = network.site["gp-1"]
    twin = replace(network.site["ph-1"], id="twin", prefix4=one.prefix4, prefix6=one.prefix6)
    network = replace(network, sites=(*network.sites, twin), zones4={}, zones6={}, blocks4={}, blocks6={})
    others = ", ".join(site.id for site in small_network().sites if site.kind in (Kind.GP, Kind.PHARMACY))
    text = GOOD.replace("{kind: [gp, pharmacy]}", f"{{site: [{others}]}}")
    return text.replace("contracts:", f"  apart:\n    members: {{site: [twin]}}\n{vpn_members}contracts:"), network


def test_addresses_may_repeat_in_vpns_that_do_not_meet() -> None:
    text, network = with_twins("    import: [care]\n    export: [apart]\n")
    plan = compile_policy(policy_golden.policy(text), network)
    assert plan.vpn["apart"].sites == ("twin",)


def test_addresses_may_not_repeat_where_vpns_meet() -> None:
    text, network = with_twins("    import: [primary]\n    export: [apart]\n")
    text = text.replace("import: [care, primary]", "import: [care, primary, apart]")
    with pytest.raises(InputError) as caught:
        compile_policy(policy_golden.policy(text, "bad.yaml"), network)
    policy_golden.check("overlap.txt", f"{caught.value}\n")


def test_problems_are_told_once_and_in_the_order_of_lines() -> None:
    head, contracts = GOOD.split("contracts:\n")
    text = f"contracts:\n{contracts}{head}".replace("class: rest", "class: none")
    text = text.replace("services: [call]", "services: [call, call2, call2]")
    lines = message(text).splitlines()
    assert len(lines) == len(set(lines)) == 4
    numbers = [int(line.split(":")[1]) for line in lines]
    assert numbers == sorted(numbers)


def test_library_policy_that_does_not_exist() -> None:
    with pytest.raises(InputError) as caught:
        library_path("nationel")
    assert "'nationel' is not in the library (hint: one of national, open)" in str(caught.value)


def test_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_policy(tmp_path / "none.yaml")
