"""What a user reads for each kind of bad policy: one golden file, one section a case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import policy_golden
import pytest
from policy_network import small_network
from policy_text import EXCEPTION, GOOD

from helsewan.common.errors import InputError
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.policies.language.source import LIBRARY
from helsewan.topology.model import Kind, Network


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
        "  care-hub: {members: {tags: [none]}, topology: mesh}\n",
    ),
    "spoke-to-spoke": (
        "    import: [care, primary]\n    export: [care]\n",
        "    import: [primary]\n    export: [care]\n    topology: hub-and-spoke\n    hub: {kind: [service]}\n",
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


# case -> a file that includes GOOD as good.yaml, and whatever else there is beside it
VARIANTS: dict[str, tuple[str, dict[str, str]]] = {
    "include-unknown-policy": ("include: nationl", {}),
    "include-unknown-file": ("include: [good.yaml, god.yaml]", {}),
    "include-number": ("include: [good.yaml, 5]", {}),
    "include-nothing": ("include: []", {}),
    "include-map": ("include: {good: yaml}", {}),
    "include-from-above": ("include: ../good.yaml", {}),
    "include-a-folder": ("include: folder.yaml", {"folder.yaml/x": ""}),
    "include-no-policy": ("include: list.yaml", {"list.yaml": "- good"}),
    "include-no-yaml": ("include: broken.yaml", {"broken.yaml": "name: [x"}),
    "include-no-utf8": ("include: latin.yaml", {"latin.yaml": "name: \udce6"}),
    "include-itself": ("include: bad.yaml", {}),
    "include-in-a-circle": (
        "include: other.yaml",
        {"other.yaml": "include: third.yaml", "third.yaml": "include: other.yaml"},
    ),
    "include-too-deep": ("include: d0.yaml", {f"d{n}.yaml": f"include: d{n + 1}.yaml" for n in range(9)}),
    "include-too-many": (f"include: [{', '.join(['good.yaml'] * 33)}]", {}),
    "several-includes-at-once": ("include: [nationl, god.yaml]\nremove: {contract: all}", {}),
    "name-is-not-inherited": ("include: good.yaml\ndescription: mine", {}),
    "remove-without-include": ("name: mine\nremove: {contracts: [calls]}", {}),
    "remove-unknown-section": ("include: good.yaml\nremove: {contract: [calls]}", {}),
    "remove-unknown-entry": ("include: good.yaml\nremove: {contracts: [messages, call]}", {}),
    "remove-absent-section": ("include: good.yaml\nremove: {exceptions: all}", {}),
    "remove-of-a-section-without-entries": ("include: good.yaml\nremove: {repair: [detect_within]}", {}),
    "remove-everything": ("include: good.yaml\nremove: everything", {}),
    "remove-one-as-text": ("include: good.yaml\nremove: {contracts: calls}", {}),
    "error-in-what-is-included": (
        "name: mine\ninclude: two.yaml",
        {"two.yaml": "include: good.yaml\nrepair: {detect: 1 s}"},
    ),
    "error-in-an-override": ("name: mine\ninclude: good.yaml\nvpns:\n  care: {exports: [care]}", {}),
    "entry-that-needs-more": (
        "name: mine\ninclude: good.yaml\ncontracts:\n  new: {from: {kind: [gp]}, services: [call]}",
        {},
    ),
    "removed-class-is-missed": ("name: mine\ninclude: good.yaml\nremove: {classes: [voice]}", {}),
    "removed-service-is-missed": ("name: mine\ninclude: good.yaml\nremove: {services: [ping]}", {}),
    "removed-vpn-is-missed": ("name: mine\ninclude: good.yaml\nremove:\n  vpns: [primary]", {}),
    "override-takes-the-route": ("name: mine\ninclude: good.yaml\nvpns:\n  care:\n    import: [primary]", {}),
    "override-takes-another's-sites": ("name: mine\ninclude: good.yaml\nvpns:\n  care: {members: {kind: [gp]}}", {}),
    "override-takes-another's-queue": ("name: mine\ninclude: good.yaml\nclasses:\n  voice:\n    queue: 2", {}),
    "override-takes-another's-ports": (
        "name: mine\ninclude: good.yaml\nservices:\n  call: {protocol: tcp, ports: [20-30]}",
        {},
    ),
    "replaced-in-the-wrong-way": (
        "name: mine\ninclude: good.yaml\nremove: {vpns: all}\nvpns: {all: {topology: mesh}}",
        {},
    ),
    "internet-of-the-library": (
        "name: mine\ninclude: national\ncontracts:\n  referrals: {to: {kind: [hospital, service]}, same_region: false}",
        {},
    ),
    "at-both-ends": (
        "name: mine\ninclude: two.yaml\ncontracts:\n  calls:\n    services: [call, fax]",
        {"two.yaml": "include: good.yaml\nrepair: {detect: 1 s}"},
    ),
}


@pytest.fixture
def variant_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """What is reported for a case of VARIANTS."""

    def message_of(case: str) -> str:
        text, others = VARIANTS[case]
        folder = tmp_path / case
        for name, content in {"good.yaml": GOOD, "bad.yaml": f"{text}\n", **others}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content, encoding="utf-8", errors="surrogateescape")
        monkeypatch.chdir(folder)
        with pytest.raises(InputError) as caught:
            compile_policy(load_policy(Path("bad.yaml")), small_network())
        return str(caught.value).replace(f"{LIBRARY}/", "LIBRARY/")

    return message_of


def test_messages_are_the_golden_ones(variant_message: Callable[[str], str]) -> None:
    said = {case: message(GOOD.replace(old, new)) for case, (old, new) in CASES.items()}
    said |= {case: variant_message(case) for case in VARIANTS}
    assert len(said) == len(CASES) + len(VARIANTS) >= 60
    policy_golden.check("errors.txt", "\n".join(f"== {case}\n{text}\n" for case, text in said.items()))


def test_what_is_sent_may_include_the_library_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text("name: secret")
    for name in (tmp_path / "secret.yaml", "../secret.yaml", "/etc/secret.yml"):
        with pytest.raises(InputError) as caught:
            policy_golden.policy(f"name: sent\ninclude: {name}\n", "policy")
        assert str(caught.value) == (
            f"policy:2: include: '{name}' is a file, which a policy that is sent cannot include "
            "(hint: send it as `helsewan policy show` prints it: one file with all that it includes)"
        )
    sent = policy_golden.policy("name: sent\ninclude: national\n", "policy")
    assert compile_policy(sent, small_network()).policy == "sent"


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
    assert "'nationel' is not in the library (hint: did you mean 'national'?)" in str(caught.value)


def test_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_policy(tmp_path / "none.yaml")
