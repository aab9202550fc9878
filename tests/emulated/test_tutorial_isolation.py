"""The tutorial on isolation, as it stands: every command of it, in an empty directory, in one shell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from short_run import wait_until_gone

pytestmark = pytest.mark.exhaustive

REPOSITORY = Path(__file__).parents[2]
TUTORIAL = REPOSITORY / "docs" / "tutorial-isolation.md"
DEADLINE_S = 300


def test_every_command_of_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    prose = re.sub(r"^```text\n.*?^```\n", "", TUTORIAL.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"(?:^    .*\n)+", prose, flags=re.MULTILINE)
    script = "".join(line.removeprefix("    ") for block in blocks for line in block.splitlines(keepends=True))
    command = f'helsewan() {{ {sys.executable} -m helsewan.cli.main "$@"; }}\ntrap "helsewan down || true" ERR\n'
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HELSEWAN_RUNTIME_DIR": str(tmp_path / "place")}
    done = subprocess.run(
        ["bash", "-Eeuc", command + script],
        capture_output=True, text=True, cwd=tmp_path, env=env, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.count("exit code 1") == 4 and "exit code 2" not in done.stdout, done.stdout
    assert done.stdout.count("proved: no violation of the policy") == 2
    said = "".join(path.read_text() for path in (tmp_path / "witness").glob("*.txt"))
    assert "policy: wards.yaml:10" in said and "leak in case intact" in said
    assert {path.suffix for path in (tmp_path / "witness").iterdir()} == {".pcap", ".json", ".txt"}
    (live, *_) = sorted((tmp_path / "live").glob("*-leak.json"))
    assert json.loads(live.read_text())["packet"]["fields"]["tcp_dst"] == 22
    assert "as the witness predicts" in done.stdout and "not as the witness predicts" in done.stdout
    wait_until_gone(tmp_path)
