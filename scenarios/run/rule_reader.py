"""The rules of a run's switches, read back while it goes on.

Switches are asked at once; what they told is worked out when the run has time for it.
"""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from helsewan.lab.server.rules import reading

DEADLINE_S = 120.0


class RulesNotRead(RuntimeError):
    """A switch did not tell what it holds, or not in time."""


@dataclass(frozen=True)
class _Reading:
    """A process that reads, and the descriptor at which it says that all switches have told."""

    process: subprocess.Popen[bytes]
    told: int


class RuleReader:
    """Reads what all switches of this world hold into ``directory``, each time by a process of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ready: dict[str, _Reading] = {}
        self._asking: dict[str, _Reading] = {}
        self._told: dict[str, _Reading] = {}
        self.done: dict[str, Path] = {}  # the files that are whole

    def prepare(self, names: Iterable[str]) -> None:
        """Have processes ready, which takes a while, for readings that begin later."""
        for name in names:
            with ExitStack() as files:
                output, errors = (
                    files.enter_context(self._file(name, kind).open("wb")).fileno() for kind in ("jsonl", "errors")
                )
                told, telling = os.pipe()
                files.callback(os.close, telling)
                self._ready[name] = _Reading(reading(f"the run, {name}", output, errors, telling), told)

    def start(self, name: str) -> None:
        """Have all switches asked now."""
        self._asking[name] = self._ready.pop(name)
        standard_input = self._asking[name].process.stdin
        assert standard_input is not None
        with suppress(BrokenPipeError):  # one that is gone tells nothing, which `told` hears
            os.write(standard_input.fileno(), b"\n")

    def told(self) -> None:
        """Wait until all switches have told what was asked of them. Raises RulesNotRead."""
        for name, each in list(self._asking.items()):
            heard, _, _ = select.select([each.told], [], [], DEADLINE_S)
            if not heard:
                raise RulesNotRead(f"the rules {name} were not told within {DEADLINE_S:g} s")
            self._told[name] = self._asking.pop(name)
            if not os.read(each.told, 1):
                self.finish()

    def finish(self) -> None:
        """Wait until all that was begun is in files. Raises RulesNotRead."""
        self.told()
        for each in self._told.values():
            assert each.process.stdin is not None
            each.process.stdin.close()
        for name, each in list(self._told.items()):
            try:
                status = each.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                raise RulesNotRead(f"the rules {name} were not read within {DEADLINE_S:g} s") from None
            errors = self._file(name, "errors")
            if status:
                raise RulesNotRead(f"the rules {name} were not read: {errors.read_text().strip()}")
            errors.unlink()
            os.close(self._told.pop(name).told)
            self.done[name] = self._file(name, "jsonl")

    def close(self) -> None:
        """End what is still at it."""
        for each in [*self._ready.values(), *self._asking.values(), *self._told.values()]:
            each.process.kill()
            each.process.wait()
            os.close(each.told)

    def _file(self, name: str, kind: str) -> Path:
        return self._directory / f"rules-{name}.{kind}"
