"""A good policy, and one-place changes of it that each make one error: (text replaced, text put there) by case."""

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


def excepting(old: str, new: str) -> tuple[str, str]:
    """A case: an exception in GOOD that is not as it should be."""
    assert EXCEPTION.count(old) == 1
    return "contracts:\n", f"{EXCEPTION.replace(old, new)}contracts:\n"


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
    "protocol": ("{protocol: icmp", "{protocol: sctpp"),
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
        "".join(f"  v{n}: {{members: {{region: [sor]}}, export: [x]}}\n" for n in range(999)) + "contracts:\n",
    ),
    "steps-not-rising": ("{share: 20 %}]", "{up_to: 1 Mbit/s, share: 30 %}, {share: 20 %}]"),
    "step-never-used": ("{up_to: 2 Mbit/s, share: 40 %}", "{share: 40 %}"),
    "steps-without-rest": ("{share: 20 %}]", "{up_to: 10 Mbit/s, share: 20 %}]"),
    "unknown-path": ("    weight: 10", "    weight: 10\n    path: least-cost"),
    "avoid-nothing": ("    weight: 10", "    weight: 10\n    avoid: {}"),
    "avoid-unknown-link": ("    weight: 10", "    weight: 10\n    avoid: {links: [r1-r3, r1-r4]}"),
    "avoid-unknown-town": ("    weight: 10", "    weight: 10\n    avoid: {pops: [hamar]}"),
    "avoid-a-router": ("    weight: 10", "    weight: 10\n    avoid: {routers: [r1]}"),
    "prefer-unknown-group": ("    weight: 10", "    weight: 10\n    prefer: {srlg: [dovre]}"),
    "avoid-leaves-no-way": ("    weight: 10", "    weight: 10\n    avoid: {links: [r1-r2, r1-r3]}"),
    "avoid-with-other-mistakes": (
        "    weight: 10",
        "    weight: 10\n    avoid: {links: [r1-r2], pops: [pop-2, pop-3]}\n    prefer: {pops: [pop-4]}",
    ),
    "weights-not-rising": (
        "    weight: 10",
        "    weight: 10\n    weights: [{up_to: 2 Mbit/s, weight: 20}, {up_to: 2 Mbit/s, weight: 15}]",
    ),
    "weights-without-speed": ("    weight: 10", "    weight: 10\n    weights: [{weight: 20}]"),
    "strict-with-weights": ("scheduling: strict", "scheduling: strict\n    weights: [{up_to: 2 Mbit/s, weight: 5}]"),
    "disjoint-from-unknown-class": ("    weight: 10", "    weight: 10\n    disjoint: {from: [voise]}"),
    "disjoint-from-itself": ("    weight: 10", "    weight: 10\n    disjoint: {from: [rest]}"),
    "disjoint-from-each-other": (
        "    buffer: 20 ms\n    targets: {delay: 100 ms, jitter: 50 ms, loss: 0.1 %}\n  rest:",
        "    buffer: 20 ms\n    targets: {delay: 100 ms, jitter: 50 ms, loss: 0.1 %}\n"
        "    disjoint: {from: [rest]}\n  rest:\n    disjoint: {from: [voice]}",
    ),
    "disjoint-from-nobody": ("    weight: 10", "    weight: 10\n    disjoint: {share_no: [srlg]}"),
    "disjoint-in-what": ("    weight: 10", "    weight: 10\n    disjoint: {from: [voice], share_no: [towns]}"),
    "disjoint-by-load": (
        "    weight: 10",
        "    weight: 10\n    path: least-loaded\n    disjoint: {from: [voice]}",
    ),
    "disjoint-leaves-no-way": (
        "    weight: 10",
        "    weight: 10\n    avoid: {links: [r1-r2]}\n    disjoint: {from: [voice]}",
    ),
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
    "no-targets": ("    export: [primary]\n", ""),
    "unknown-topology": ("    export: [primary]", "    topology: ring"),
    "hub-without-topology": ("    export: [primary]", "    export: [primary]\n    hub: {kind: [gp]}"),
    "hub-and-spoke-without-hub": ("    export: [primary]", "    topology: hub-and-spoke"),
    "hub-of-a-mesh": ("    export: [primary]", "    topology: mesh\n    hub: {kind: [gp]}"),
    "hub-that-is-no-member": ("    export: [primary]", "    topology: hub-and-spoke\n    hub: {kind: [service]}"),
    "extranet-without-partners": ("    export: [primary]", "    topology: extranet"),
    "partner-that-is-no-vpn": ("    export: [primary]", "    topology: extranet\n    partners: [car]"),
    "hub-has-the-name-of-a-vpn": (
        "    export: [care]\n",
        "    export: [care]\n    topology: hub-and-spoke\n    hub: {kind: [service]}\n"
        "  care-hub: {members: {region: [sor]}, topology: mesh}\n",
    ),
    "spoke-to-spoke": (
        "    import: [care, primary]\n    export: [care]\n",
        "    import: [primary]\n    export: [care]\n    topology: hub-and-spoke\n    hub: {kind: [service]}\n",
    ),
    "spokes-joined-by-import": (
        "    import: [care]\n    export: [primary]\n",
        "    import: [care, primary:spokes]\n    export: [primary]\n"
        "    topology: hub-and-spoke\n    hub: {kind: [pharmacy]}\n",
    ),
    "spokes-joined-by-export": (
        "    import: [care]\n    export: [primary]\n",
        "    import: [care]\n    export: [primary, primary:hub]\n"
        "    topology: hub-and-spoke\n    hub: {kind: [pharmacy]}\n",
    ),
    "extranet-joined-by-import": (
        "    import: [care]\n    export: [primary]\n",
        "    import: [care, primary]\n    topology: extranet\n    partners: [care]\n",
    ),
    "partners-joined-by-import": (
        "    import: [care, primary]\n    export: [care]\n"
        "  primary:\n    members: {kind: [gp, pharmacy]}\n    import: [care]\n    export: [primary]\n",
        "    import: [primary:partners]\n    topology: mesh\n"
        "  primary:\n    members: {kind: [gp, pharmacy]}\n    topology: extranet\n    partners: [care]\n",
    ),
    "unknown-hub-site": ("    export: [primary]", "    topology: hub-and-spoke\n    hub: {site: [gp-9]}"),
    "exception-without-reason": excepting("    reason: help while they move\n", ""),
    "exception-with-empty-reason": excepting("help while they move", '" "'),
    "exception-without-end": excepting("    until: 2027-02-01\n", ""),
    "exception-until-no-date": excepting("2027-02-01", "next week"),
    "exception-until-no-day": excepting("2027-02-01", "2027-02-30"),
    "exception-until-time-of-nowhere": excepting("2027-02-01", "2027-02-01 16:00"),
    "exception-ends-first": excepting("2027-02-01", "2027-02-01\n    begins: 2027-03-01"),
    "exception-named-as-contract": excepting("pictures", "calls"),
    "exception-for-unknown-service": excepting("[mail]", "[fax]"),
    "exception-without-way": excepting(
        "from: {kind: [hospital]}\n    to: {kind: [hospital]}", "from: {kind: [gp]}\n    to: {kind: [gp]}"
    ),
    "exception-that-is-over-is-judged-too": excepting(
        "services: [mail]\n    reason: help while they move\n    until: 2027",
        "services: [fax]\n    reason: help while they moved\n    until: 2020",
    ),
    "internet-without-service": ("contracts:\n", "internet: {at: {tags: [internet]}}\ncontracts:\n"),
    "internet-through-unknown-service": (
        "contracts:\n",
        "internet: {at: {tags: [internet]}, through: [proxi]}\ncontracts:\n",
    ),
    "internet-not-through-proxy": (
        "contracts:\n",
        "internet: {at: {tags: [internet]}, through: [ping]}\ncontracts:\n"
        "  browse: {from: {kind: [gp]}, to: {kind: [service]}, services: [ping, mail]}\n",
    ),
    "internet-through-udp": (
        "contracts:\n",
        "internet: {at: {tags: [internet]}, through: [ping, call]}\ncontracts:\n",
    ),
    "internet-inward": (
        "contracts:\n",
        "internet: {at: {tags: [internet]}, through: [ping]}\ncontracts:\n"
        "  inward: {from: {kind: [service]}, to: {kind: [gp]}, services: [ping]}\n",
    ),
    "internet-both-ways": (
        "contracts:\n",
        "internet: {at: {tags: [internet]}, through: [ping]}\ncontracts:\n"
        "  test: {from: {kind: [gp]}, to: {kind: [service]}, both_ways: true, services: [ping]}\n",
    ),
    "internet-by-exception": (
        "contracts:\n",
        "internet: {at: {tags: [internet]}, through: [ping]}\n"
        + excepting("to: {kind: [hospital]}", "to: {tags: [internet]}")[1],
    ),
    "quarantine-of-nobody": ("contracts:\n", "quarantine: {ward: {}}\ncontracts:\n"),
    "quarantine-of-unknown-site": ("contracts:\n", "quarantine: {ward: {sites: {site: [h-bodoe]}}}\ncontracts:\n"),
    "quarantine-of-a-region-without-sites": (
        "contracts:\n",
        "quarantine: {ward: {sites: {region: [vest, sor], kind: [gp]}}}\ncontracts:\n",
    ),
    "quarantine-of-a-misspelt-tag": ("contracts:\n", "quarantine: {ward: {sites: {tags: [reserch]}}}\ncontracts:\n"),
    "internet-at-a-misspelt-tag": (
        "contracts:\n",
        "internet: {at: {tags: [internett]}, through: [ping]}\ncontracts:\n",
    ),
    "internet-at-another-kind": (
        "contracts:\n",
        "internet: {at: {kind: [hospital], tags: [internet]}, through: [ping]}\ncontracts:\n",
    ),
    "contract-with-a-misspelt-tag": ("tags: [messages]}", "tags: [mesages]}"),
    "contract-with-a-misspelt-tier": ("    to: {kind: [hospital]}", "    to: {kind: [hospital], tier: [locl]}"),
    "members-with-a-misspelt-tag": (
        "    export: [primary]\n",
        "    export: [primary]\n  lab: {members: {tags: [lab]}, export: [lab]}\n",
    ),
    "exception-for-nobody": excepting("to: {kind: [hospital]}", "to: {region: [sor]}"),
    "exception-for-a-site-to-itself": excepting(
        "from: {kind: [hospital]}\n    to: {kind: [hospital]}", "from: {site: [h-bodo]}\n    to: {site: [h-bodo]}"
    ),
    "exception-of-two-regions": excepting(
        "from: {kind: [hospital]}\n    to: {kind: [hospital]}",
        "from: {site: [h-bodo]}\n    to: {site: [h-orkdal]}\n    same_region: true",
    ),
    "site-in-two-quarantines": (
        "contracts:\n",
        "quarantine: {one: {sites: {kind: [gp]}}, two: {sites: {region: [midt]}}}\ncontracts:\n",
    ),
    "contracts-is-no-map": ("contracts:\n  calls:\n", "contracts: none\nextra:\n  calls:\n"),
    "schema-and-meaning-at-once": (
        "  mail: {protocol: tcp, ports: [25, 8080], class: rest}",
        "  mail: {protocol: tcp, ports: [25, 80800], class: rest}\n  fax: {protocol: tcp, ports: [10], class: slow}",
    ),
    "what-is-lost-is-not-missed": ("    scheduling: weighted", "    scheduling: weightd"),
    "lost-vpn-is-not-missed": ("    export: [primary]", "    exports: [primary]"),
    "several-at-once": (
        "  ping: {protocol: icmp, class: rest}\nvpns:\n  care:\n    members: {kind: [hospital, municipality,",
        "  ping: {protocol: icmp, class: echo}\nvpns:\n  care:\n    members: {kind: [municipality,",
    ),
}
