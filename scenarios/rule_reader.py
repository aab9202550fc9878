"""The rules of a run's switches, read back while it goes on."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path

from scenarios.standing.rules import reading

DEADLINE_S = 120.0


class RulesNotRead(RuntimeError):
    """A switch did not tell what it holds, or not in time."""


class RuleReader:
    """Reads what all switches of this world hold into ``directory``, each time by a process of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._under_way: dict[str, subprocess.Popen[bytes]] = {}
        self.done: dict[str, Path] = {}  # the files that are whole

    def start(self, name: str) -> None:
        """Begin to read."""
        with ExitStack() as files:
            output, errors = (
                files.enter_context(self._file(name, kind).open("wb")).fileno() for kind in ("jsonl", "errors")
            )
            self._under_way[name] = reading(f"the run, {name}", output, errors)

    def finish(self) -> None:
        """Wait until all that was begun is done. Raises RulesNotRead."""
        for name, process in self._under_way.items():
            try:
                status = process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise RulesNotRead(f"the rules {name} were not read within {DEADLINE_S:g} s") from None
            errors = self._file(name, "errors")
            if status:
                raise RulesNotRead(f"the rules {name} were not read: {errors.read_text().strip()}")
            errors.unlink()
            self.done[name] = self._file(name, "jsonl")
        self._under_way.clear()

    def _file(self, name: str, kind: str) -> Path:
        return self._directory / f"rules-{name}.{kind}"
