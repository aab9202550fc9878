"""Reads the rules of all switches back during a run.

All switches are queried at one time; their replies are decoded when the run has time for it.
"""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from helsewan.common.exit_codes import ExitCode
from helsewan.common.ownership import create_log
from helsewan.lab.server.rules import reading

DEADLINE_S = 120.0
_INTERNAL = {1: ExitCode.INTERNAL_ERROR, ExitCode.INTERNAL_ERROR: ExitCode.INTERNAL_ERROR}  # 1: the interpreter's


class RulesNotRead(RuntimeError):
    """A switch did not send its rules, or not in time. ``status``: of the reading process, where it ended."""

    def __init__(self, reason: str, status: int = ExitCode.VOID) -> None:
        self.exit_code = _INTERNAL.get(status, ExitCode.VOID)
        super().__init__(reason)


@dataclass(frozen=True)
class _Reading:
    """A reading process, and the descriptor at which it reports that all switches have answered."""

    process: subprocess.Popen[bytes]
    answered: int


class RuleReader:
    """Reads the rules of all switches of this sandbox into ``directory``, each time by a process of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ready: dict[str, _Reading] = {}
        self._querying: dict[str, _Reading] = {}
        self._answered: dict[str, _Reading] = {}
        self.done: dict[str, Path] = {}  # complete dumps, by name

    def prepare(self, names: Iterable[str]) -> None:
        """Start the reading processes, which takes a while; they wait for ``start``."""
        for name in names:
            for kind in ("jsonl", "errors"):
                create_log(self._file(name, kind))
            with ExitStack() as files:
                output, errors = (
                    files.enter_context(self._file(name, kind).open("wb")).fileno() for kind in ("jsonl", "errors")
                )
                answered, answering = os.pipe()
                files.callback(os.close, answering)
                self._ready[name] = _Reading(reading(f"the run, {name}", output, errors, answering), answered)

    def start(self, name: str) -> None:
        """Query all switches now."""
        self._querying[name] = self._ready.pop(name)
        standard_input = self._querying[name].process.stdin
        assert standard_input is not None
        with suppress(BrokenPipeError):  # it has ended: `wait_answered` finds out
            os.write(standard_input.fileno(), b"\n")

    def wait_answered(self) -> None:
        """Wait until all switches have answered every query. Raises RulesNotRead."""
        for name, each in list(self._querying.items()):
            ready, _, _ = select.select([each.answered], [], [], DEADLINE_S)
            if not ready:
                raise RulesNotRead(f"the switches did not send the rules {name} within {DEADLINE_S:g} s")
            self._answered[name] = self._querying.pop(name)
            if not os.read(each.answered, 1):
                self.finish()

    def finish(self) -> None:
        """Wait until everything queried is in files. Raises RulesNotRead."""
        self.wait_answered()
        for each in self._answered.values():
            assert each.process.stdin is not None
            each.process.stdin.close()
        for name, each in list(self._answered.items()):
            try:
                status = each.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                raise RulesNotRead(f"the rules {name} were not read within {DEADLINE_S:g} s") from None
            errors = self._file(name, "errors")
            if status:
                raise RulesNotRead(f"the rules {name} were not read: {errors.read_text().strip()}", status)
            errors.unlink()
            os.close(self._answered.pop(name).answered)
            self.done[name] = self._file(name, "jsonl")

    def close(self) -> None:
        """End the processes that are still running."""
        for each in [*self._ready.values(), *self._querying.values(), *self._answered.values()]:
            each.process.kill()
            each.process.wait()
            os.close(each.answered)

    def _file(self, name: str, kind: str) -> Path:
        return self._directory / f"rules-{name}.{kind}"
