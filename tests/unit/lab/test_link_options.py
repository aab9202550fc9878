"""Changes to links as users write them: names, options with units, and the resulting link model."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from helsewan.common.errors import InputError
from helsewan.emulation.links.pipe_model import ClassQueue, CoDel, Distribution, Jitter, Loss, PipeModel, Red, RedCurve
from helsewan.lab.links.link_change import LinkChange, applied
from helsewan.lab.links.link_names import link_named, links_named
from helsewan.lab.links.link_options import parsed_change

NAMES = ("oslo-hamar", "oslo-1--oslo-2", "hospital-voss/wan0", "hospital-voss/wan1", "gp-voss-1/wan0")
MODEL = PipeModel(10_000_000, 5_000, (ClassQueue(9000), ClassQueue(9000, strict=False, weight=3)))
QUEUE_OF = {"voice": 0, "data": 1, "bulk": 5}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("oslo-hamar", {"oslo-hamar"}),
        ("hamar-oslo", {"oslo-hamar"}),
        ("oslo-2--oslo-1", {"oslo-1--oslo-2"}),
        ("hospital-voss/wan1", {"hospital-voss/wan1"}),
        ("hospital-voss", {"hospital-voss/wan0", "hospital-voss/wan1"}),
        ("*/wan0", {"hospital-voss/wan0", "gp-voss-1/wan0"}),
        ("oslo*", {"oslo-hamar", "oslo-1--oslo-2"}),
    ],
)
def test_the_lines_that_are_meant(text: str, meant: set[str]) -> None:
    assert set(links_named(text, NAMES)) == meant


@pytest.mark.parametrize(
    ("text", "near"),
    [("oslo-hama", "oslo-hamar"), ("hama-oslo", "oslo-hamar"), ("voss", "hospital-voss/wan0"), ("x*", ""), ("", "")],
)
def test_an_unknown_link_is_reported_with_similar_names(text: str, near: str) -> None:
    with pytest.raises(InputError, match=f"is no link of this network.*{near}"):
        links_named(text, NAMES)


@pytest.mark.parametrize(
    ("text", "names", "meant"),
    [
        ("a-b", ["a-b", "b-a"], {"a-b"}),
        ("b-a", ["a-b", "b-a"], {"b-a"}),
        ("b-a", ["a-b", "b-a/wan0"], {"b-a/wan0"}),  # a site's own name before a link's ends in the other order
        ("link:a-b", ["a-b", "a-b/wan0", "a-b/wan1"], {"a-b"}),
        ("link:a-b/wan0", ["a-b", "a-b/wan0", "a-b/wan1"], {"a-b/wan0"}),
        ("a-b/*", ["a-b", "a-b/wan0", "a-b/wan1"], {"a-b/wan0", "a-b/wan1"}),
        ("a-b/wan1", ["a-b", "a-b/wan0", "a-b/wan1"], {"a-b/wan1"}),
    ],
)
def test_an_exact_id_wins(text: str, names: list[str], meant: set[str]) -> None:
    assert set(links_named(text, names)) == meant


@pytest.mark.parametrize(
    ("text", "names", "refusal"),
    [
        (
            "a-b",
            ["a-b", "a-b/wan0", "a-b/wan1"],
            "link: 'a-b' is the name of a link and of a site (hint: link:a-b for the link, 'a-b/*' for the site's 2)",
        ),
        ("a-b-c", ["b-c-a", "c-a-b"], "link: 'a-b-c' selects 2 links (hint: one of b-c-a, c-a-b)"),
        ("link:b-a", ["a-b"], "link: 'link:b-a' is no link of this network"),
    ],
)
def test_what_is_ambiguous_lists_the_choices(text: str, names: list[str], refusal: str) -> None:
    with pytest.raises(InputError) as refused:
        links_named(text, names)
    assert str(refused.value).startswith(refusal)


def test_one_link_is_required() -> None:
    assert link_named("gp-voss-1", NAMES) == "gp-voss-1/wan0"
    with pytest.raises(InputError, match="selects 2 links: hospital-voss/wan0, hospital-voss/wan1"):
        link_named("hospital-voss", NAMES)


def changed(options: Mapping[str, str], by_class: Mapping[str, list[str]], model: PipeModel = MODEL) -> PipeModel:
    """``model`` after options as a user writes them, by way of the JSON that is sent."""
    sent = json.dumps(parsed_change(options, by_class))
    return applied(LinkChange.model_validate_json(sent), model, QUEUE_OF)


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({}, {}),
        ({"rate": "2 Mbit/s", "delay": "20ms"}, {"rate_bps": 2_000_000, "delay_us": 20_000}),
        ({"jitter": "2 ms"}, {"jitter": Jitter(2000)}),
        (
            {"jitter": "2ms", "jitter-distribution": "pareto", "order": "free"},
            {"jitter": Jitter(2000, Distribution.PARETO, reorder=True)},
        ),
        ({"jitter": "none"}, {"jitter": None}),
        ({"loss": "1 %"}, {"loss": Loss.bernoulli(0.01)}),
        ({"loss": "none"}, {"loss": None}),
        ({"loss-bursts": "1%,30%"}, {"loss": Loss(0.01, 0.3)}),
        ({"loss-bursts": "1%,30%,0.1%,50%"}, {"loss": Loss(0.01, 0.3, 0.001, 0.5)}),
        ({"loss-correlated": "1%,25%"}, {"loss": Loss.correlated(0.01, 0.25)}),
        ({"duplicate": "0.5%", "corrupt": "1%"}, {"duplicate": 0.005, "corrupt": 0.01}),
        ({"mtu": "1400B", "buffer": "200kB"}, {"mtu_bytes": 1400, "buffer_bytes": 200_000}),
        ({"mtu": "none", "buffer": "none"}, {"mtu_bytes": None, "buffer_bytes": None}),
        ({"overhead": "layer3"}, {"overhead_bytes": -14}),
    ],
)
def test_options_change_the_model(options: dict[str, str], settings: dict[str, object]) -> None:
    model = changed(options, {})
    assert {name: getattr(model, name) for name in settings} == settings
    others = {name for name in PipeModel.__slots__ if name not in settings}
    assert {name: getattr(model, name) for name in others} == {name: getattr(MODEL, name) for name in others}


def test_jitter_keeps_what_is_not_said() -> None:
    before = changed({"jitter": "2ms", "order": "free"}, {})
    assert changed({"jitter": "3ms"}, {}, before).jitter == Jitter(3000, reorder=True)
    assert changed({"order": "kept"}, {}, before).jitter == Jitter(2000)
    assert changed({"order": "free"}, {}).jitter is None


@pytest.mark.parametrize(
    ("by_class", "queues"),
    [
        ({"weight": ["data=30"]}, (ClassQueue(9000), ClassQueue(9000, strict=False, weight=30))),
        ({"weight": ["bulk=30"]}, (ClassQueue(9000), ClassQueue(9000, strict=False, weight=30))),
        ({"limit": ["voice=20ms"]}, (ClassQueue(None, 20_000), MODEL.queues[1])),
        ({"limit": ["voice=64kB", "data=none"]}, (ClassQueue(64_000), ClassQueue(strict=False, weight=3))),
        ({"aqm": ["voice=codel"]}, (ClassQueue(9000, aqm=CoDel()), MODEL.queues[1])),
        ({"aqm": ["voice=codel:2ms,50ms"]}, (ClassQueue(9000, aqm=CoDel(2000, 50_000)), MODEL.queues[1])),
        (
            {"aqm": ["voice=red:30kB,90kB,20%"]},
            (ClassQueue(9000, aqm=Red((RedCurve(30_000, 90_000, 0.2),))), MODEL.queues[1]),
        ),
    ],
)
def test_queues_are_changed_by_class(by_class: dict[str, list[str]], queues: tuple[ClassQueue, ...]) -> None:
    assert changed({}, by_class).queues == queues


def test_queue_management_is_taken_away() -> None:
    managed = changed({}, {"aqm": ["voice=codel"]})
    assert changed({}, {"aqm": ["voice=none"]}, managed) == MODEL


def test_all_that_is_wrong_is_told_at_once() -> None:
    options = {"rate": "10Mbit", "delay": "20", "loss": "2", "order": "any", "loss-bursts": "1%", "nosuch": "1"}
    by_class = {"weight": ["data=0", "data"], "limit": ["data=9"], "aqm": ["data=red", "=codel"]}
    with pytest.raises(InputError) as caught:
        parsed_change(options, by_class)
    assert [problem.where for problem in caught.value.problems] == [
        *("--rate", "--delay", "--loss", "--order", "--loss-bursts", "--nosuch"),
        *("--weight", "--weight", "--limit", "--aqm", "--aqm"),
    ]
    assert "hint: write Mbit/s" in str(caught.value)


def test_a_class_the_policy_lacks_is_found() -> None:
    with pytest.raises(KeyError, match="vice"):
        changed({}, {"weight": ["vice=3"]})
