"""The test's end of ``mininet_server``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from small_network import DESCRIPTION
from waiting import wait_for

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 60.0


class Script:
    """The other end of ``mininet_server``."""

    def __init__(self, directory: Path, description: str = DESCRIPTION) -> None:
        """``description``: of a network with the sites of the small one."""
        (directory / "small.yaml").write_text(description)
        self._errors = directory / "errors.txt"
        with self._errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("mininet_server.py")), str(directory / "small.yaml")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            )
        assert self._answer() == "ready"

    def __call__(self, expression: str) -> Any:
        """The value of a Python expression there, as JSON has it."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(expression) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def until(self, expression: str, deadline_s: float = DEADLINE_S) -> None:
        """Wait until the expression is true."""
        wait_for(lambda: self(expression), expression, deadline_s)

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the script ended: {self._errors.read_text()}"
        return json.loads(line)
