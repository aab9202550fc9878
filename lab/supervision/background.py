"""Supervises the processes of an emulation in a thread of its own, for programs that have no loop of their own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from helsewan.lab.supervision.router_power import RouterPower
from helsewan.lab.supervision.supervisor import PartLost, Record, Supervisor
from helsewan.lab.testbed.parts import Part
from helsewan.lab.testbed.testbed import Testbed

TICK_S = 0.25
_LOG = logging.getLogger("helsewan.lab")


class BackgroundSupervision:
    """Supervision of ``testbed``, which is up, until ``stop``. Every change is told to ``record``, and ends and
    restarts are warnings of the logger ``helsewan.lab``; ``log_dir`` has the daemons' logs."""

    def __init__(self, testbed: Testbed, record: Record, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._supervisor = Supervisor(testbed, record, _LOG.warning, log_dir, _given_up)
        self._power = RouterPower(testbed, self._supervisor)
        self._lock = threading.RLock()
        self._lost: PartLost | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervision", daemon=True)
        self._supervisor.start()
        self._thread.start()

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Whatever is done within the block comes before or after what supervision does. Raises PartLost, which names
        the cause and the log, where the network cannot go on, before the block or in place of its error."""
        with self._lock:
            self._act()
            self._raise_lost()
            try:
                yield
            except Exception:
                self._act()
                self._raise_lost()
                raise

    def report(self) -> dict[str, Any]:
        """See `Supervisor.report`; ``lost``: why the network cannot go on, None while it can."""
        with self._lock:
            self._act()
            return {**self._supervisor.report(), "lost": None if self._lost is None else str(self._lost)}

    def switch_power(self, router: str, on: bool) -> None:
        """See `RouterPower.switch`."""
        with self.going_on():
            self._power.switch(router, on)

    def stop(self) -> None:
        """End the supervision: the network is being ended."""
        self._stopping.set()
        self._thread.join()
        self._supervisor.stop()

    def _run(self) -> None:
        while not self._stopping.wait(TICK_S):
            with self._lock:
                self._act()

    def _act(self) -> None:
        if self._lost is not None:
            return
        try:
            self._supervisor.act()
        except PartLost as error:
            self._lost = PartLost(f"{error} (see {error.log})", error.log)
        except Exception as error:  # not to be lost with its thread
            reason = f"the supervision failed: {type(error).__name__}: {error} (see {self._log_dir})"
            self._lost = PartLost(reason, str(self._log_dir))
        if self._lost is not None:
            _LOG.error("the emulation cannot go on: %s", self._lost)

    def _raise_lost(self) -> None:
        if self._lost is not None:
            raise PartLost(str(self._lost), self._lost.log)


def _given_up(part: Part) -> None:
    """Nobody is to be refused: an emulation has no northbound server."""
