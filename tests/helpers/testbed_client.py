"""The test's end of ``testbed_server``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helsewan.emulation.sandbox import sandbox


class TestbedClient:
    """Talks to ``testbed_server`` in its world."""

    def __init__(self, log_dir: Path) -> None:
        script = Path(__file__).with_name("testbed_server.py")
        self.log_dir = log_dir
        with (log_dir / "testbed_server.log").open("w") as log:
            self._process = subprocess.Popen(
                sandbox.command([sys.executable, str(script), str(log_dir)]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=Path(__file__).parents[2],
            )
        self._read()

    def ask(self, op: str, **arguments: Any) -> Any:
        """What the operation ``op`` of ``testbed_server.Server`` returns."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"op": op, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._read()["answer"]

    def close(self) -> None:
        """End the world."""
        with self._process:  # closes the pipes, and waits
            self._process.kill()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            pytest.fail("the world ended: " + (self.log_dir / "testbed_server.log").read_text()[-2000:], pytrace=False)
        reply: dict[str, Any] = json.loads(line)
        return reply
