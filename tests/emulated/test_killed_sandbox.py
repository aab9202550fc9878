"""What the kernel keeps of a sandbox that was killed: no namespace, with nobody left to clean up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mininet_client import Script

from benchmarks.sandboxed.namespace_watch import NamespaceWatch, namespaces_of
from benchmarks.sandboxed.scale_watch import descendants

pytestmark = pytest.mark.emulated

SMALL = {"north", "middle", "south", "hospital-a", "hospital-b", "gp-c", "operations", "the sandbox's own"}
# The kernel keeps a connection whose other end does not answer for 100 s and more, and its namespace with it.
DEADLINE_S = 60.0


@pytest.mark.skipif(os.geteuid() != 0, reason="watching namespaces takes root")
@pytest.mark.parametrize("routers", ["private", "shared"])
def test_no_namespace_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, routers: str) -> None:
    monkeypatch.setenv("HELSEWAN_ROUTERS", routers)
    script = Script(tmp_path)
    with script.process, NamespaceWatch() as watch:
        processes = descendants(script.process.pid)
        namespaces = namespaces_of(processes)
        assert len(namespaces) >= len(SMALL)
        watch.add(namespaces)
        (engine,) = (each for each in processes if b"engine_process" in Path(f"/proc/{each}/cmdline").read_bytes())
        os.kill(engine, 9)  # links end first: no end of a connection is acknowledged
        script.process.kill()
        watch.wait(DEADLINE_S)
