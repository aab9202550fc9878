"""``python -m helsewan.lab.captures.replay_process DESCRIPTOR``: sends and follows one replay, in a process of its own.

It reads its job, a pickle, from the descriptor, prints ``ready`` when the first packets are, begins at the time (ns)
that it reads from standard input, and stops when that ends. Its result is a line of JSON (`Outcome`).
"""

from __future__ import annotations

import json
import pickle
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from helsewan.common.errors import InputError
from helsewan.common.exit_codes import ExitCode
from helsewan.common.processes import die_with_parent
from helsewan.emulation.sandbox.realtime import LINKS, set_realtime
from helsewan.lab.captures.replay_records import RecordFile
from helsewan.lab.captures.wire_replay import Counts, WireReplay, late_us
from helsewan.lab.captures.wire_sockets import SiteSockets, WireSite
from helsewan.lab.flows.replay_plan import ReplayPlan


@dataclass(frozen=True)
class ReplayJob:
    """Replay ``plan`` from ``sockets``, whose descriptors the process inherits; ``records`` is the file to create."""

    plan: ReplayPlan
    sockets: tuple[SiteSockets, ...]
    records: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a replay went, as its process reports it; see `wire_replay.Counts`."""

    sent: int
    not_sent: int
    unreachable: int
    misdelivered: int
    stray: int
    dropped: int
    ended: bool
    late_p50_us: float
    late_p99_us: float
    worst_late_us: float


def main() -> int:
    """Do the job; returns the exit code."""
    die_with_parent()
    with open(int(sys.argv[1]), "rb") as file:
        job: ReplayJob = pickle.load(file)
    records = RecordFile(job.records)
    try:
        replay = WireReplay(job.plan, [WireSite(sockets) for sockets in job.sockets], records)
        replay.prepare()
        print("ready", flush=True)
        if begin := sys.stdin.readline():
            set_realtime(LINKS)
            replay.run(int(begin), sys.stdin.fileno())
    except InputError as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    finally:
        records.close()
    print(json.dumps(asdict(_outcome(replay.counts, records.count))), flush=True)
    return ExitCode.PASS


def _outcome(counts: Counts, sent: int) -> Outcome:
    return Outcome(
        sent=sent,
        not_sent=counts.not_sent,
        unreachable=counts.unreachable,
        misdelivered=counts.misdelivered,
        stray=counts.stray,
        dropped=counts.dropped,
        ended=counts.ended,
        late_p50_us=late_us(counts.lateness, 50),
        late_p99_us=late_us(counts.lateness, 99),
        worst_late_us=counts.worst_late_ns / 1000,
    )


if __name__ == "__main__":
    sys.exit(main())
