"""The replays of a run: one process each, from sockets in the sites' namespaces."""

from __future__ import annotations

import json
import os
import pickle
import select
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from helsewan.common.exit_codes import ExitCode
from helsewan.common.ownership import create_log
from helsewan.emulation.sandbox.namespaces import Namespace
from helsewan.lab.flows.replay_plan import ReplayMode, ReplayPlan
from helsewan.lab.replay.replay_counts import Outcome
from helsewan.lab.replay.replay_process import ReplayJob
from helsewan.lab.replay.stand_ins import (
    Address,
    accept_packets_to,
    add_addresses,
    drop_packets_to,
    remove_addresses,
)
from helsewan.lab.replay.wire_sockets import SiteSockets, open_sockets
from helsewan.topology.model import Network

DEADLINE_S = 60.0  # to start, and to end


class ReplayFailed(RuntimeError):
    """A replay's process did not start, or ended before it was asked to; the message has what it wrote."""


@dataclass(frozen=True)
class Replayed:
    """A replay that has ended: its plan, how it went, and the file of its records."""

    plan: ReplayPlan
    outcome: Outcome
    records: Path


class ReplayEngine:
    """The replays ``plans`` of a run on ``network``. Records and logs go into ``directory``.

    The constructor makes the sites' sockets and starts the processes; raises ReplayFailed or OSError where one does not
    start."""

    def __init__(
        self, plans: Sequence[ReplayPlan], network: Network, namespaces: Mapping[str, Namespace], directory: Path
    ) -> None:
        self.results: tuple[Replayed, ...] = ()
        self._plans, self._network, self._namespaces = plans, network, namespaces
        self._directory = directory
        self._undo = ExitStack()
        self._processes: list[subprocess.Popen[bytes]] = []
        with ExitStack() as undo:
            undo.callback(self.close)
            for plan in plans:
                self._start(plan)
            for plan, process in zip(plans, self._processes, strict=True):
                if self._line(plan, process) != b"ready\n":
                    raise self._failure(plan, process)
            undo.pop_all()

    def start(self, epoch_ns: int) -> None:
        """Begin: the plans' time 0 is ``epoch_ns`` (CLOCK_REALTIME)."""
        for process in self._processes:
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # it has ended: `stop` says so
                process.stdin.write(b"%d\n" % epoch_ns)
                process.stdin.flush()

    def stop(self) -> None:
        """End the replays and collect their results. Raises ReplayFailed for one that had ended before."""
        results = []
        for plan, process in zip(self._plans, self._processes, strict=True):
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()
            line = self._line(plan, process)
            if process.wait(DEADLINE_S) != ExitCode.PASS:
                raise self._failure(plan, process)
            results.append(Replayed(plan, Outcome(**json.loads(line)), self._file(plan, "records")))
        self._processes.clear()
        self.results = self.results or tuple(results)

    def close(self) -> None:
        """End the processes that still run, and give up all sockets and routes."""
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()
        self._undo.close()

    def _start(self, plan: ReplayPlan) -> None:
        addresses: defaultdict[str, list[Address]] = defaultdict(list)
        for host in plan.hosts.values():
            addresses[host.site].append(host.address)
        with ExitStack() as ours:  # the process has its own copies
            if plan.mode is ReplayMode.PAYLOAD:
                for site, own in addresses.items():
                    self._undo.callback(remove_addresses, self._namespaces[site], own)
                    add_addresses(self._namespaces[site], own)
                sockets, descriptors = tuple[SiteSockets, ...](), list[int]()
            else:
                sockets, descriptors = self._packet_sockets(addresses, ours)
            inherited = {site: self._namespaces[site].fd for site in addresses}
            job = ReplayJob(plan, sockets, inherited, self._file(plan, "records"))
            file = os.memfd_create("helsewan-replay")
            ours.callback(os.close, file)
            with open(os.dup(file), "wb") as writing:
                pickle.dump(job, writing)
            os.lseek(file, 0, os.SEEK_SET)
            argv = [sys.executable, "-m", "helsewan.lab.replay.replay_process", str(file)]
            log = self._file(plan, "log")
            create_log(log)
            with log.open("ab") as errors:
                pipe, fds = subprocess.PIPE, [file, *descriptors, *inherited.values()]
                self._processes.append(subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=errors, pass_fds=fds))

    def _packet_sockets(
        self, addresses: Mapping[str, Sequence[Address]], opened: ExitStack
    ) -> tuple[tuple[SiteSockets, ...], list[int]]:
        """The packet sockets of every site, which drops what comes to its ``addresses``; and all their descriptors."""
        sockets, descriptors = [], []
        for site, own in addresses.items():
            self._undo.callback(accept_packets_to, self._namespaces[site], own)
            drop_packets_to(self._namespaces[site], own)
            each, all_ = open_sockets(self._network.site[site], self._network, self._namespaces[site])
            sockets.append(each)
            descriptors += [opened.enter_context(one).fileno() for one in all_]
        return tuple(sockets), descriptors

    def _file(self, plan: ReplayPlan, kind: str) -> Path:
        return self._directory / f"replay-{plan.entry}.{kind}"

    def _line(self, plan: ReplayPlan, process: subprocess.Popen[bytes]) -> bytes:
        """The next line that the process prints; empty where it has ended. Raises ReplayFailed when none comes."""
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], DEADLINE_S)[0]:
            raise ReplayFailed(f"the replay {plan.entry} did not answer within {DEADLINE_S:g} s")
        return process.stdout.readline()

    def _failure(self, plan: ReplayPlan, process: subprocess.Popen[bytes]) -> ReplayFailed:
        with suppress(subprocess.TimeoutExpired):
            process.wait(DEADLINE_S)
        lines = self._file(plan, "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit status {process.returncode}"
        return ReplayFailed(f"the replay {plan.entry} ended: {reason}")
