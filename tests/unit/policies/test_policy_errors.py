"""What a user reads for each kind of bad policy: one golden file, one section a case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import policy_golden
import pytest
from policy_error_cases import CASES, GOOD
from policy_network import small_network

from helsewan.common.errors import InputError
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.policies.language.source import LIBRARY
from helsewan.topology.model import Kind, Network


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
            f"policy:2: include: '{name}' is a file, which a policy sent over REST cannot include "
            "(hint: send the output of `helsewan policy show`: one file with all that it includes)"
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
