"""``python -m helsewan.lab.replay.replay_process DESCRIPTOR``: sends and follows one replay, in a process of its own.

It reads its job, a pickle, from the descriptor, prints ``ready`` when the first packets are, begins at the time (ns)
that it reads from standard input, and stops when that ends. Its result is a line of JSON (`replay_counts.Outcome`).
"""

from __future__ import annotations

import json
import pickle
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from helsewan.common.errors import InputError
from helsewan.common.exit_codes import ExitCode
from helsewan.common.processes import die_with_parent
from helsewan.emulation.sandbox.namespaces import entered
from helsewan.emulation.sandbox.realtime import LINKS, set_realtime
from helsewan.lab.flows.replay_plan import ReplayMode, ReplayPlan
from helsewan.lab.replay.payload_replay import PayloadReplay
from helsewan.lab.replay.replay_records import RecordFile
from helsewan.lab.replay.wire_replay import WireReplay
from helsewan.lab.replay.wire_sockets import SiteSockets, WireSite


@dataclass(frozen=True)
class ReplayJob:
    """Replay ``plan`` from ``sockets`` or, in mode payload, in ``namespaces`` by site; the process inherits both's
    descriptors. ``records`` is the file to create."""

    plan: ReplayPlan
    sockets: tuple[SiteSockets, ...]
    namespaces: Mapping[str, int]
    records: Path


def main() -> int:
    """Do the job; returns the exit code."""
    die_with_parent()
    with open(int(sys.argv[1]), "rb") as file:
        job: ReplayJob = pickle.load(file)
    records = RecordFile(job.records)
    try:
        replay = _replay(job, records)
        print("ready", flush=True)
        if begin := sys.stdin.readline():
            set_realtime(LINKS)
            replay.run(int(begin), sys.stdin.fileno())
    except InputError as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    finally:
        records.close()
    print(json.dumps(asdict(replay.counts.outcome(records.count))), flush=True)
    return ExitCode.PASS


def _replay(job: ReplayJob, records: RecordFile) -> WireReplay | PayloadReplay:
    if job.plan.mode is ReplayMode.PAYLOAD:
        return PayloadReplay(job.plan, partial(_socket_in, job.namespaces), records)
    replay = WireReplay(job.plan, [WireSite(sockets) for sockets in job.sockets], records)
    replay.prepare()
    return replay


def _socket_in(namespaces: Mapping[str, int], site: str, family: int, kind: int) -> socket.socket:
    with entered(namespaces[site]):
        return socket.socket(family, kind)


if __name__ == "__main__":
    sys.exit(main())
