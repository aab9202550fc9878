"""A network of some hundred sites comes up whole within the files it says it opens, and one too large is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from helsewan.emulation.sandbox import sandbox

SITES = 600
FILES = 2_000  # more than it takes, and fewer than if every site kept a socket and both its line's ends here
ROOT = Path(__file__).parents[2]


def brought_up(sites: int, files: int, logs: Path) -> tuple[dict[str, object], str]:
    """What ``benchmarks/sandboxed/scale.py`` says of a network under a limit of open files, and its last words."""
    limited = ["prlimit", f"--nofile={files}:{files}", "setpriv", "--bounding-set=-sys_resource"]
    argv = sandbox.command([*limited, sys.executable, "-m", "benchmarks.sandboxed.scale", str(sites), str(logs)])
    with (
        (logs / "stderr").open("w+") as said,
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=said, text=True, cwd=ROOT) as first,
    ):
        assert first.stdout is not None
        line = first.stdout.readline()
        first.kill()
    return json.loads(line or "{}"), (logs / "stderr").read_text()


def test_hundreds_of_sites_come_up_and_every_hospital_hears_and_is_heard(tmp_path: Path) -> None:
    seen, said = brought_up(SITES, FILES, tmp_path)
    assert seen, said[-2000:]
    assert (seen["unreached"], seen["errors"], seen["dead"]) == ([], [], [])
    assert seen["hospitals"] == 72
    assert seen["asking"] == 0, "sites that ask for their gateway's address overflow the kernel's table"


def test_a_network_that_takes_more_files_than_it_may_open_is_refused(tmp_path: Path) -> None:
    seen, said = brought_up(SITES, 500, tmp_path)
    assert not seen
    assert "500 are too few: this network takes" in said
