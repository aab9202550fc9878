"""Narrow terminals, and locales without UTF-8."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import REPOSITORY, helsewan_bytes

SAMPLES = REPOSITORY / "tests" / "samples" / "topologies"
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0"}
TABLES = {
    "topology show": ["region", "hospital", "pharmacy", "municipality", "service", "datacentre", "sites"],
    "topology paths": ["sites in", "sites", "paths", "to"],
    "scenario list": ["scenario", "what it tests"],
    "policy list": ["policy"],
    "policy explain gp-oslo-1 hospital-voss --sites 90": ["service", "class"],
}


@pytest.mark.parametrize("width", ["40", "60"])
@pytest.mark.parametrize("command", TABLES)
def test_no_header_is_cut_on_a_narrow_terminal(command: str, width: str) -> None:
    done = helsewan_bytes(*command.split(), cwd=REPOSITORY, COLUMNS=width, PYTHONUTF8="1")
    text = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert "…" not in text
    assert set(" ".join(TABLES[command]).split()) <= set(text.split())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose name is no ASCII, with a map and a policy."""
    made = tmp_path / "mørk-日本"
    made.mkdir()
    shutil.copy(SAMPLES / "Kystnett.graphml", made)
    (made / "øst.yaml").write_text("name: ø\nnothing: Tromsø\n", encoding="utf-8")
    return made


IN_PATHS = [
    (["topology", "show", "--from", "{}/Kystnett.graphml"], 0),
    (["topology", "show", "--from", "{}/øst.yaml"], 2),
    (["policy", "check", "{}/øst.yaml"], 2),
    (["verify", "--rules", "{}/ø.gz"], 2),
    (["status", "--name", "tromsø"], 2),
]
MORE_IN_PATHS = [
    (["topology", "show", "--from", "{}/ingen.graphml"], 2),
    (["topology", "export", "--from", "{}/Kystnett.graphml", "--format", "yaml", "--output", "{}/ut-ø.yaml"], 0),
    (["topology", "paths", "bodo", "tromsø"], 2),
    (["policy", "show", "{}/øst.yaml"], 0),
    (["policy", "show", "national"], 0),
    (["scenario", "run", "{}/øst.yaml"], 2),
    (["scenario", "run", "{}/Kystnett.graphml"], 2),
]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [*IN_PATHS, *(pytest.param(*case, marks=pytest.mark.exhaustive) for case in MORE_IN_PATHS)],
)
def test_an_ascii_locale_with_other_letters_in_paths(arguments: list[str], code: int, folder: Path) -> None:
    done = helsewan_bytes(*(argument.format(folder) for argument in arguments), cwd=folder, **ASCII)
    assert done.returncode == code, done.stderr
    said = done.stderr.decode("ascii")
    assert "Unicode" not in said and "Traceback" not in said and "codec" not in said
    assert "\\udc" not in said  # half a character


@pytest.mark.parametrize(
    "format_",
    [
        "yaml",
        *(pytest.param(each, marks=pytest.mark.exhaustive) for each in ("json", "graphml", "geojson", "dot")),
    ],
)
def test_export_in_an_ascii_locale_is_utf_8(folder: Path, format_: str) -> None:
    export = ["topology", "export", "--from", str(folder / "Kystnett.graphml"), "--format", format_]
    assert helsewan_bytes(*export, "--output", "ut-ø", cwd=folder, **ASCII).returncode == 0
    plain = helsewan_bytes(*export, cwd=folder, PYTHONUTF8="1")
    assert (folder / "ut-ø").read_bytes() == plain.stdout
    assert format_ == "graphml" or "Ålesund" in plain.stdout.decode()  # GraphML has character references


def test_json_on_an_ascii_terminal_is_the_same_json() -> None:
    explain = ["policy", "explain", "gp-oslo-1", "hospital-voss", "--sites", "90", "--json"]
    ascii_ = helsewan_bytes(*explain, cwd=REPOSITORY, **ASCII)
    plain = helsewan_bytes(*explain, cwd=REPOSITORY, PYTHONUTF8="1")
    assert ascii_.returncode == plain.returncode == 0
    assert json.loads(ascii_.stdout.decode("ascii")) == json.loads(plain.stdout.decode())


def test_output_that_its_encoding_lacks_is_escaped_as_json_reads_it() -> None:
    script = (
        "from helsewan.common.terminal.output_encoding import use_utf8; import json\n"
        "use_utf8(); print(json.dumps(['Troms\\u00f8', '\\U0001f600'], ensure_ascii=False))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, env={**os.environ, **ASCII}, check=True)
    assert json.loads(done.stdout.decode("ascii")) == ["Tromsø", "😀"]
