"""Scenarios with something wrong in them, each in one place of a good one or in how it includes others."""

from __future__ import annotations

GOOD = """\
name: good
description: A scenario in which nothing is wrong.
network: {sites: 90, seed: 1}
policy: national
duration: 10 s
parameters:
  region: {type: region, default: midt, help: the region}
  calls: {type: integer, default: 4, help: calls}
  pause: {type: duration, default: 3 s, help: how long}
timeline:
  failure: {at: "${pause}", fail: {region_core: "${region}"}}
  repair: {at: 6 s, restore: {region_core: "${region}"}}
  cut: {at: 7 s, fail: {link: oslo-hamar}}
phases:
  before: {from: 1 s, to: failure}
  dark: {from: failure + 500 ms, to: repair}
  after: {from: repair, to: end}
verify:
  rules: {intact: 1 s, failed: failure + 1 s}
traffic:
  calls: {kind: voice, service: voice, count: "${calls}", from: {kind: [hospital]}, to: {kind: [hospital]}}
  rooms: {kind: video, service: video, count: 1, rate: 384 kbit/s, between: {kind: [hospital]}}
  scripts:
    kind: messages
    service: prescription-udp
    count: 2
    from: {kind: [gp]}
    to: {kind: [service]}
    every: 500 ms
    request: 1000 B
    reply: 400 B
  records:
    kind: transactions
    service: ehr
    count: 2
    between: {kind: [hospital], region: [nord]}
    every: 2 s
    request: 2 kB
    response: 20 kB
    deadline: 1 s
  isolation: {kind: isolation, count: 10, every: 100 ms}
  reach:
    kind: program
    site: hospital-st-olavs
    run: [ping, -c, 3, "${site:hospital-aker.address}"]
    at: 2 s
    timeout: 5 s
    expect: {exit: 0, stdout: " 0% packet loss"}
checks:
  gap: {metric: gap, class: voice, phase: dark, scope: surviving, limit: "< 50 ms"}
  answered: {metric: failed, traffic: records, limit: "== 0"}
  share: {metric: loss, traffic: scripts, phase: before, over: together, limit: "< 0.1 %"}
  leaks: {metric: leaked, limit: "== 0"}
"""

# case -> a text of GOOD, and what stands in its place
CASES: dict[str, tuple[str, str]] = {
    # YAML
    "yaml-bracket-not-closed": ("{sites: 90, seed: 1}", "{sites: 90, seed: 1"),
    "yaml-quote-not-closed": ("name: good", 'name: "good'),
    "yaml-tab": ("  before: {from", "\tbefore: {from"),
    "yaml-key-twice": ("policy: national", "policy: national\npolicy: open"),
    "yaml-merge-key": ("  region: {type: region", "  <<: {x: y}\n  region: {type: region"),
    "yaml-tag": ("duration: 10 s", "duration: !!str 10 s"),
    "yaml-alias-of-nothing": ("duration: 10 s", "duration: *long"),
    "yaml-indentation": ("  failure: {at:", "   failure: {at:"),
    "yaml-second-document": ("phases:", "---\nphases:"),
    # Keys and their values
    "key-unknown": ("policy: national", "polcy: national"),
    "key-unknown-in-an-entry": ("phase: dark, scope", "phse: dark, scope"),
    "key-missing-in-network": ("{sites: 90, seed: 1}", "{sites: 90}"),
    "name-is-none": ("name: good", "name: Good one"),
    "section-is-a-list": ("phases:", "phases: []\nphase:"),
    "sites-too-few": ("sites: 90", "sites: 20"),
    "sites-too-many": ("sites: 90", "sites: 20001"),
    "sites-no-number": ("sites: 90", "sites: ninety"),
    "seed-negative": ("seed: 1", "seed: -1"),
    "network-file-missing": ("{sites: 90", "{from: map.graphml, sites: 90"),
    "swedish-route-no-boolean": ("seed: 1", "seed: 1, swedish_route: yes"),
    "policy-unknown": ("policy: national", "policy: nationel"),
    "policy-file-missing": ("policy: national", "policy: nationel.yaml"),
    "duration-without-unit": ("duration: 10 s", "duration: 10"),
    "duration-too-short": ("duration: 10 s", "duration: 10 ms"),
    "duration-too-long": ("duration: 10 s", "duration: 25 h"),
    # Parameters
    "parameter-type-unknown": ("type: integer", "type: number"),
    "parameter-without-help": ("default: 3 s, help: how long", "default: 3 s"),
    "parameter-default-of-another-type": ("default: 4,", "default: four,"),
    "parameter-no-region": ("default: midt", "default: mars"),
    "parameter-no-duration": ("default: 3 s", "default: 3 sek"),
    "parameter-unknown": ("${calls}", "${cals}"),
    # Timeline
    "event-unit-unknown": ("at: 6 s", "at: 6 sec"),
    "event-after-the-end": ("at: 6 s", "at: 60 s"),
    "event-negative": ("at: 6 s", "at: -6 s"),
    "event-without-time": ("{at: 7 s, fail", "{fail"),
    "event-without-action": ("{at: 7 s, fail: {link: oslo-hamar}}", "{at: 7 s}"),
    "event-of-two-targets": ("fail: {link: oslo-hamar}", "fail: {link: oslo-hamar, pop: oslo}"),
    "event-of-no-target": ("fail: {link: oslo-hamar}", "fail: {}"),
    "event-target-unknown": ("fail: {link: oslo-hamar}", "fail: {lnk: oslo-hamar}"),
    "event-name-reserved": ("  cut: {at", "  end: {at"),
    "fault-on-no-link": ("link: oslo-hamar", "link: oslo-hamra"),
    "fault-on-no-router": ("fail: {link: oslo-hamar}", "fail: {router: hamra}"),
    "fault-on-no-pop": ("fail: {link: oslo-hamar}", "fail: {pop: hamra}"),
    "fault-on-no-access-link": ("fail: {link: oslo-hamar}", "fail: {access: hospital-st-olavs/wan2}"),
    "fault-on-no-risk-group": ("fail: {link: oslo-hamar}", "fail: {srlg: dovrebanen}"),
    "fault-in-no-region": ('restore: {region_core: "${region}"}', "restore: {region_core: nrod}"),
    "fault-on-no-controller": ("fail: {link: oslo-hamar}", "fail: {controller: second}"),
    "event-at-two-times": ("{at: 7 s, fail", "{at: 7 s, between: [1 s, 2 s], fail"),
    "event-waits-without-deadline": ("{at: 7 s, fail", "{when: repaired, fail"),
    "event-waits-for-no-metric": (
        "{at: 7 s, fail",
        '{when: {metric: los, limit: "> 1 %"}, deadline: 9 s, fail',
    ),
    "event-waits-for-no-event": ("{at: 7 s, fail", "{when: {event: repai}, deadline: 9 s, fail"),
    "event-waits-past-the-end": ("{at: 7 s, fail", "{when: repaired, deadline: 11 s, fail"),
    "event-after-no-event": ("{at: 7 s, fail", "{at: repai + 1 s, fail"),
    "event-after-itself": ("{at: 7 s, fail", "{at: cut + 1 s, fail"),
    "events-in-a-circle": (
        '{at: 6 s, restore: {region_core: "${region}"}}\n  cut: {at: 7 s',
        ('{at: cut + 1 s, restore: {region_core: "${region}"}}\n  cut: {at: repair + 1 s'),
    ),
    "event-in-no-span": ("{at: 7 s, fail", "{between: [8 s, 7 s], fail"),
    "event-too-often": ("{at: 7 s, fail", "{at: 7 s, every: 1 s, times: 9, fail"),
    "event-does-not-say-how-often": ("{at: 7 s, fail", "{at: 7 s, every: 1 s, fail"),
    "event-ends-nothing": ("fail: {link: oslo-hamar}", "end: failur"),
    "event-ends-what-does-not-last": ("fail: {link: oslo-hamar}", "end: repair"),
    "event-mark-does-not-last": ("fail: {link: oslo-hamar}", "mark: now, for: 1 s"),
    "event-sets-no-setting": ("fail: {link: oslo-hamar}", "set: {link: oslo-hamar}"),
    "event-sets-a-wrong-unit": ("fail: {link: oslo-hamar}", "set: {link: oslo-hamar, rate: 2 Mb}"),
    "event-sets-an-impossible-loss": ("fail: {link: oslo-hamar}", "set: {link: oslo-hamar, loss: 120 %}"),
    "event-direction-unknown": ("fail: {link: oslo-hamar}", "cut: {link: oslo-hamar, direction: north}"),
    "event-command-at-no-site": ("fail: {link: oslo-hamar}", "command: {site: hospital-oslo, run: ping -c 1 10.0.0.1}"),
    "event-quarantine-of-nobody": ("fail: {link: oslo-hamar}", "quarantine: {sites: {kind: [gp], region: [mars]}}"),
    # Phases and proofs
    "phase-of-no-event": ("to: failure}", "to: failur}"),
    "phase-ends-before-it-begins": ("{from: repair, to: end}", "{from: repair, to: failure}"),
    "phase-after-the-end": ("{from: repair, to: end}", "{from: repair + 5 s, to: end + 1 s}"),
    "phase-without-end": ("{from: repair, to: end}", "{from: repair}"),
    "phase-name-reserved": ("  after: {from", "  run: {from"),
    "time-no-time": ("{from: 1 s, to: failure}", "{from: 1 s, to: failure * 2}"),
    "proof-at-no-event": ("failed: failure + 1 s", "failed: failur + 1 s"),
    "proof-after-the-end": ("failed: failure + 1 s", "failed: end + 1 s"),
    "proof-of-nothing": ("  rules: {intact: 1 s, failed: failure + 1 s}", "  rules: {}"),
    # Traffic
    "traffic-kind-unknown": ("kind: voice", "kind: voise"),
    "traffic-kind-missing": ("{kind: video, ", "{"),
    "traffic-service-unknown": ("service: voice", "service: voise"),
    "traffic-service-of-tcp": ("service: voice", "service: ehr"),
    "traffic-service-of-udp": ("service: ehr", "service: voice"),
    "traffic-count-zero": ('count: "${calls}"', "count: 0"),
    "traffic-key-of-another-kind": ("kind: video, ", "kind: video, codec: g711, "),
    "traffic-rate-too-low": ("rate: 384 kbit/s", "rate: 384 bit/s"),
    "traffic-rate-with-a-unit-of-time": ("rate: 384 kbit/s", "rate: 384 ms"),
    "traffic-unit-ambiguous": ("rate: 384 kbit/s", "rate: 384 k"),
    "traffic-datagram-too-long": ("request: 1000 B", "request: 2 kB"),
    "traffic-too-often": ("every: 500 ms", "every: 500 us"),
    "traffic-sites-twice": ("between: {kind: [hospital]}", "between: {kind: [hospital]}, to: {kind: [gp]}"),
    "traffic-sites-not-named": (", between: {kind: [hospital]}", ""),
    "traffic-selector-kind-unknown": ("from: {kind: [gp]}", "from: {kind: [gps]}"),
    "traffic-selector-site-unknown": ("from: {kind: [gp]}", "from: {site: [gp-oslo-99]}"),
    "traffic-selector-key-unknown": ("from: {kind: [gp]}", "from: {kinds: [gp]}"),
    "traffic-selector-empty": ("from: {kind: [gp]}", "from: {}"),
    "traffic-selects-nobody": ("{kind: [hospital], region: [nord]}", "{kind: [datacentre], region: [sor]}"),
    "traffic-not-allowed": ("    to: {kind: [service]}", "    to: {kind: [pharmacy]}"),
    # Programs
    "program-at-no-site": ("site: hospital-st-olavs", "site: hospital-st-olaf"),
    "program-without-words": ('[ping, -c, 3, "${site:hospital-aker.address}"]', "[]"),
    "program-with-an-open-quote": ('[ping, -c, 3, "${site:hospital-aker.address}"]', "ping 'x"),
    "program-names-no-site": ("${site:hospital-aker.address}", "${site:hospital-akre.address}"),
    "program-names-no-field": ("${site:hospital-aker.address}", "${site:hospital-aker.adress}"),
    "program-names-a-site-only": ("${site:hospital-aker.address}", "${site:hospital-aker}"),
    "program-after-the-end": ("at: 2 s\n    timeout", "at: 20 s\n    timeout"),
    "program-of-no-time": ("timeout: 5 s", "timeout: 0 s"),
    "program-expects-nothing": ('{exit: 0, stdout: " 0% packet loss"}', "{}"),
    "program-expects-no-status": ("exit: 0", "exit: 256"),
    "program-expects-no-text": ('" 0% packet loss"', "{}"),
    "program-expects-no-regex": ('" 0% packet loss"', '{regex: "0%("}'),
    "check-of-a-program": ("metric: failed, traffic: records", "metric: failed, traffic: reach"),
    # Checks
    "check-metric-unknown": ("metric: gap", "metric: gaps"),
    "check-metric-of-other-traffic": ("metric: failed", "metric: lost"),
    "check-phase-unknown": ("phase: dark", "phase: drak"),
    "check-traffic-unknown": ("traffic: records", "traffic: record"),
    "check-class-unknown": ("class: voice, phase", "class: voise, phase"),
    "check-class-of-no-traffic": ("traffic: scripts, phase", "traffic: scripts, class: voice, phase"),
    "check-scope-unknown": ("scope: surviving", "scope: survivors"),
    "check-limit-missing": (', limit: "< 50 ms"', ""),
    "check-limit-without-comparison": ("< 50 ms", "50 ms"),
    "check-limit-without-unit": ("< 50 ms", "< 50"),
    "check-limit-of-another-unit": ("< 50 ms", "< 50 %"),
    "check-limit-no-number": ('traffic: records, limit: "== 0"', 'traffic: records, limit: "== none"'),
    "check-share-beyond-the-whole": ("< 0.1 %", "< 101 %"),
    "check-that-could-never-fail": ("< 0.1 %", "<= 100 %"),
    "check-of-no-site": ("traffic: scripts, phase", "traffic: scripts, site: hospital-oslo, phase"),
    "check-than-itself": (
        'phase: before, over: together, limit: "< 0.1 %"',
        'phase: before, than: before, limit: "<= 110 %"',
    ),
    "check-severity-unknown": ("scope: surviving", "severity: may"),
    "assert-metric-without-windows": ("checks:\n", 'assert:\n  steady: {metric: gap, limit: "< 1 s"}\nchecks:\n'),
    "assert-within-of-no-event": (
        "checks:\n",
        'assert:\n  steady: {metric: loss, within: 2 s of failur, limit: "< 1 %"}\nchecks:\n',
    ),
    "assert-longer-than-the-run": (
        "checks:\n",
        'assert:\n  steady: {metric: loss, for: 20 s, limit: "< 1 %"}\nchecks:\n',
    ),
    "warmup-longer-than-the-run": ("duration: 10 s", "duration: 10 s\nwarmup: 10 s"),
    "repeat-never": ("duration: 10 s", "duration: 10 s\nrepeat: 0"),
}

# case -> a file that includes GOOD as good.yaml, and whatever else there is beside it
VARIANTS: dict[str, tuple[str, dict[str, str]]] = {
    "include-unknown-scenario": ("include: region-failower", {}),
    "include-unknown-file": ("include: [good.yaml, god.yaml]", {}),
    "include-from-above": ("include: ../good.yaml", {}),
    "include-no-scenario": ("include: list.yaml", {"list.yaml": "- good"}),
    "include-no-yaml": ("include: broken.yaml", {"broken.yaml": "name: [x"}),
    "include-itself": ("include: bad.yaml", {}),
    "include-in-a-circle": (
        "include: two.yaml",
        {"two.yaml": "include: three.yaml", "three.yaml": "include: two.yaml"},
    ),
    "include-too-deep": ("include: d0.yaml", {f"d{n}.yaml": f"include: d{n + 1}.yaml" for n in range(9)}),
    "name-is-not-inherited": ("include: good.yaml\ndescription: mine", {}),
    "remove-without-include": ("name: mine\nremove: {checks: [gap]}", {}),
    "remove-unknown-section": ("include: good.yaml\nremove: {check: [gap]}", {}),
    "remove-unknown-entry": ("include: good.yaml\nremove: {checks: [gaps]}", {}),
    "remove-one-as-text": ("include: good.yaml\nremove: {checks: gap}", {}),
    "removed-event-is-missed": ("name: mine\ndescription: x\ninclude: good.yaml\nremove: {timeline: [repair]}", {}),
    "removed-traffic-is-missed": ("name: mine\ndescription: x\ninclude: good.yaml\nremove: {traffic: [records]}", {}),
    "removed-parameter-is-missed": (
        "name: mine\ndescription: x\ninclude: good.yaml\nremove: {parameters: [calls]}",
        {},
    ),
    "override-of-the-wrong-type": (
        "name: mine\ndescription: x\ninclude: good.yaml\ntimeline: {repair: {at: soon}}",
        {},
    ),
    "override-that-needs-more": (
        "name: mine\ndescription: x\ninclude: good.yaml\ntraffic: {more: {kind: voice, service: voice}}",
        {},
    ),
    "error-in-what-is-included": (
        "name: mine\ndescription: x\ninclude: two.yaml",
        {"two.yaml": "include: good.yaml\nduration: 10"},
    ),
    "policy-beside-what-is-included": (
        "name: mine\ndescription: x\ninclude: sub/two.yaml",
        {"sub/good.yaml": GOOD, "sub/two.yaml": "include: good.yaml\npolicy: own.yaml", "sub/own.yaml": "name: x y"},
    ),
    "everything-at-once": (
        "name: my own\ndescription: x\ninclude: good.yaml\npolicy: opne\nnetwork: {sites: 5}\n"
        "timeline:\n  failure: {at: 3 sec}\n  repair: {at: 1 min}\n  cut: {fail: {link: oslo-hamra}}\n"
        "phases:\n  late: {from: repar, to: end}\n"
        "traffic:\n  calls: {service: voise}\n  rooms: {count: some}\n"
        "checks:\n  answered: {limit: none}\n  gap: {phase: drak}",
        {},
    ),
}
