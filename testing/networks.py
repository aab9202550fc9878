"""The networks of a test session: started when a test first asks for one, ended when no test of its time is left."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helsewan.testing.choice import NetworkChoice

if TYPE_CHECKING:
    from helsewan.testing.wan import Wan


class Networks:
    """The networks that stand now, by choice."""

    def __init__(self) -> None:
        self._standing: dict[NetworkChoice, Wan] = {}
        self._logs: dict[NetworkChoice, Path] = {}

    @property
    def standing(self) -> Mapping[NetworkChoice, Wan]:
        """The networks that stand now."""
        return dict(self._standing)

    def take(self, choice: NetworkChoice) -> Wan:
        """The network of ``choice``, which is started unless it stands. Raises what `Wan` and its ``start`` raise."""
        wan = self._standing.get(choice)
        if wan is None:
            from helsewan.emulation.sandbox import sandbox

            logs = Path(tempfile.mkdtemp(prefix="helsewan-", dir=sandbox.RUN_DIR))
            from helsewan.testing.wan import Wan  # loads the emulator, which most sessions of a user do not need

            wan = Wan(choice, logs)
            wan.start()
            self._standing[choice], self._logs[choice] = wan, logs
        wan.begin_test()
        return wan

    def give_back(self, wan: Wan) -> float:
        """A test is done with ``wan``: what it did is undone. Returns the seconds that took. A network that cannot be
        reset is ended, and its error raised."""
        began = time.monotonic()
        try:
            wan.reset()
        except BaseException:
            self.end(wan.choice)
            raise
        return time.monotonic() - began

    def end(self, choice: NetworkChoice) -> None:
        """End a network."""
        wan = self._standing.pop(choice, None)
        if wan is not None:
            wan.close()
            shutil.rmtree(self._logs.pop(choice), ignore_errors=True)

    def end_unneeded(self, item: pytest.Item, following: pytest.Item | None) -> None:
        """End the networks whose time is over after ``item``, before ``following``."""
        for choice in list(self._standing):
            is_over = (
                following is None
                or choice.reuse == "function"
                or (choice.reuse == "module" and following.path != item.path)
            )
            if is_over:
                self.end(choice)
