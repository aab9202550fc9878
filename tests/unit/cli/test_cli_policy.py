"""``helsewan policy``: what a user reads, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import helsewan

EXCEPTING = """\
name: mine
include: national
exceptions:
  pictures:
    from: {kind: [hospital], region: [vest]}
    to: {kind: [hospital], region: [midt]}
    services: [dicom]
    reason: the scanner in Molde is being moved
    until: 2027-01-15
"""


def test_a_good_policy_is_told_with_its_exceptions(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(EXCEPTING)
    done = helsewan("policy", "check", "mine.yaml", "--sites", "90", "--at", "2027-01-15 23:59Z", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first.startswith("mine: 9 VPNs, ") and first.endswith(", 1 exception (1 in force), on 90 sites")
    assert second == (
        "exception pictures, in force: until 2027-01-16 00:00 UTC: the scanner in Molde is being moved (mine.yaml:4)"
    )
    after = helsewan("policy", "check", "mine.yaml", "--sites", "90", "--at", "2027-01-16", cwd=tmp_path)
    assert "exception pictures, ended: until" in after.stdout


def test_every_error_is_a_line_and_the_exit_code_is_two(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(EXCEPTING.replace("dicom", "dikom").replace("2027-01-15", "then"))
    done = helsewan("policy", "check", "mine.yaml", "--sites", "90", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert [line.split(": ")[:2] for line in done.stderr.splitlines()] == [["mine.yaml:9", "exceptions.pictures.until"]]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["check", "nationl"], "policy: 'nationl' is not in the library (hint: did you mean 'national'?)"),
        (["check", "none.yaml"], "none.yaml: no such file"),
        (["check", "national", "--at", "soon"], "--at: 'soon' is no date"),
        (["check", "national", "--sites", "5"], "--sites: 5 is too few"),
        (["diff", "national", "none.yaml"], "none.yaml: no such file"),
    ],
)
def test_bad_arguments(argv: list[str], said: str, tmp_path: Path) -> None:
    done = helsewan("policy", *argv, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said) and done.stderr.count("\n") == 1, done.stderr


def test_a_difference_is_told_as_written_and_in_effect(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(EXCEPTING)
    done = helsewan("policy", "diff", "national", "mine.yaml", "--sites", "90", "--at", "2027-01-01", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert lines[0] == 'name: "national" became "mine"'
    assert "+ hospital may open dicom to hospital: 108 pairs, vest to midt" in lines
    assert lines[-1] == "on 90 sites: 108 pairs of sites may open more, 0 pairs may open less"


def test_a_shown_policy_is_one_file_that_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(EXCEPTING)
    shown = helsewan("policy", "show", "mine.yaml", cwd=tmp_path).stdout
    (tmp_path / "shown.yaml").write_text(shown)
    assert "include" not in shown
    done = helsewan("policy", "diff", "mine.yaml", "shown.yaml", "--sites", "90", cwd=tmp_path)
    assert done.stdout == "on 90 sites: 0 pairs of sites may open more, 0 pairs may open less\n"


def test_library_and_schema_are_printed(tmp_path: Path) -> None:
    assert "quarantine-site" in helsewan("policy", "list", cwd=tmp_path).stdout
    assert json.loads(helsewan("policy", "schema", cwd=tmp_path).stdout)["then"]["required"] == ["name"]
