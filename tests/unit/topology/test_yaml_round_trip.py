"""What is exported is readable again: every import and networks with odd names, in every format that is read."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from helsewan.common import document, yaml_tree
from helsewan.common.errors import InputError
from helsewan.common.yaml_writer import to_yaml
from helsewan.topology import importers
from helsewan.topology.construction.naming import is_name
from helsewan.topology.exporters import containerlab, formats
from helsewan.topology.importers import description, network_from
from helsewan.topology.model import MOST_SEED, Network
from helsewan.topology.national.generator import national_network

SAMPLES = Path(__file__).parents[2] / "samples" / "topologies"
WRITERS = {".yaml": description.write, ".graphml": formats.to_graphml, ".json": formats.to_json}

# Plain words that some version of YAML reads as numbers, booleans, dates, times, or structure.
ODD_WORDS = [
    "08", "007", "0o17", "0x1F", "0b101", "1e3", "1E+3", "1.5", ".5", "5.", "1_000", "+1", "-1", "0", "-", "--", "1e",
    "190:20:30", "12:30", "2026-11-30", "2026-11-30T12:00:00Z", "yes", "Yes", "NO", "on", "Off", "y", "N", "true",
    "null", "Null", "~", "", ".inf", "-.Inf", ".NaN", "=", "<<", "!x", "&a", "*a", "- a", "a: b", "a #b", "'", '"',
    "\\", "{", "}", "[", "]", "%", "@", "`", "|", ">", "?", "? a", ",", "---", "...", "Mo i Rana", "Tromsø", "日本",
    "😀", "a  b", "#", "None", "nan", "inf", "0.0.0.0", "e3", "1.2.3", "x" * 100, "1" * 30,
]  # fmt: skip
ODD_NAMES = [word for word in ODD_WORDS if is_name(word)]

NAMES = st.sampled_from(ODD_NAMES) | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
TEXTS = st.sampled_from(ODD_WORDS) | st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20)
TAGS = st.lists(TEXTS.filter(lambda text: bool(text.strip()) and "," not in text), max_size=3, unique=True)


def again(network: Network, suffix: str, folder: Path) -> Network:
    path = folder / f"again{suffix}"
    path.write_bytes(WRITERS[suffix](network).encode())
    return network_from(path)


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.iterdir()))
def test_every_import_is_readable_again(name: str, suffix: str, tmp_path: Path) -> None:
    network = network_from(SAMPLES / name, 60)
    assert again(network, suffix, tmp_path) == network


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_names_are_readable_again(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    pops, routers, sites, links = (
        data.draw(st.lists(NAMES, min_size=2, max_size=4, unique=True), label=label)
        for label in ("pops", "routers", "sites", "links")
    )
    number = min(map(len, (pops, routers, sites, links)))
    site_names = [f"s{name}"[:100] if name in {*routers, *pops} else name for name in sites[:number]]
    kinds = st.sampled_from(["gp", "hospital", "service"])
    whole = {
        "name": data.draw(NAMES),
        "seed": data.draw(st.integers(0, MOST_SEED)),
        "operations": pops[0],
        "pops": {
            pop: {"town": data.draw(TEXTS), "lat": 60.5, "lon": data.draw(st.floats(-180, 180)), "routers": [router]}
            for pop, router in zip(pops[:number], routers[:number], strict=True)
        },
        "links": {
            link: {"a": routers[0], "b": routers[at], "rate": "1 Gbit/s", "km": data.draw(st.floats(0, 1e4)),
                   "srlg": data.draw(TAGS)}
            for at, link in enumerate(links[: number - 1], start=1)
        },
        "sites": {
            site: {"name": data.draw(TEXTS), "kind": data.draw(kinds), "municipality": data.draw(TEXTS),
                   "tier": data.draw(TEXTS), "tags": data.draw(TAGS),
                   "lines": [{"router": routers[0], "rate": "2 Mbit/s", "delay": "1 ms"}]}
            for site in dict.fromkeys(site_names)
        },
    }  # fmt: skip
    path = folder / "any.yaml"
    path.write_bytes(to_yaml(whole).encode())
    network = network_from(path)
    assert list(network.pop) == pops[:number] and network.name == whole["name"]
    for suffix in WRITERS:
        assert again(network, suffix, folder) == network
    assert yaml.safe_load(containerlab.to_containerlab(network))["topology"]["nodes"].keys() == {
        *network.router, *network.site
    }  # fmt: skip


@pytest.mark.parametrize("word", ODD_WORDS)
def test_a_word_is_the_same_for_readers_of_both_versions(word: str) -> None:
    """PyYAML reads YAML 1.1, helsewan YAML 1.2; as a key and as a value, in a list and alone."""
    data = {word: word, "list": [word, {"in": word}]}
    text = to_yaml(data)
    assert yaml.safe_load(text) == data
    assert yaml_tree.parse(text, "x").data == data


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(PLAIN)
def test_any_data_is_readable_again(data: object) -> None:
    assert yaml_tree.parse(to_yaml(data), "x").data == data


@pytest.mark.parametrize("text", ["a\x01b", "a\nb", "\u2028", "\ud800", "\uffff"])
def test_what_no_file_holds_is_refused_on_import(text: str, tmp_path: Path) -> None:
    escaped = "".join(f"\\u{ord(char):04x}" for char in text)
    path = tmp_path / "odd.yaml"
    path.write_text((SAMPLES / "three-towns.yaml").read_text().replace("town: Bergen", f'town: "{escaped}"'))
    whole = formats.to_json(network_from(SAMPLES / "three-towns.yaml"))
    (tmp_path / "odd.json").write_text(whole.replace('"town": "Bergen"', f'"town": "{escaped}"'))
    for name in ("odd.yaml", "odd.json"):
        with pytest.raises(InputError) as caught:
            network_from(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_the_export_of_the_largest_network_is_within_what_is_read() -> None:
    """Without reading it: 20,000 sites take many seconds. Values and bytes grow with the sites."""
    few, more = (description.write(national_network(number)) for number in (1_000, 2_000))
    per_site = (len(more.encode()) - len(few.encode())) / 1_000
    assert per_site * 20_000 < importers.MAX_BYTES
    values = [len(document.loads(text.encode(), "x").lines) for text in (few, more)]
    assert (values[1] - values[0]) / 1_000 * 20_000 * 2 < importers.MAX_VALUES
