"""The inner half of a run: the world's first process. Reads its job, runs it, judges it, leaves the result."""

from __future__ import annotations

import sys
import traceback
from dataclasses import asdict
from typing import cast

from emulation import world
from scenarios import machine
from scenarios.checks import Demand, Evidence, Verdict, flow_engine_demands, judge, verdict
from scenarios.history import History
from scenarios.job import Job
from scenarios.measure import measure
from scenarios.phases import windows
from scenarios.progress import Progress
from scenarios.report import Judged, Result, build_result, void_result, write_result
from scenarios.run import Collected, Run
from scenarios.screen import Screen
from scenarios.targets import Connectivity, failed_together
from scenarios.transactions import measure_exchanges
from scenarios.verdict import print_verdict
from scenarios.world_process import interruptible, orphaned, read_job

# A delivery late by this much shows in a one-way delay as much as the promised accuracy (0.5 ms per path).
LINK_LATE_P99_MS = 2.0
LINK_LATE_MS = 40.0  # a gap of two voice packets: the most a stall may add before it looks like an outage
STEAL_SHARE = 0.05  # of processor time taken by others on the host: whole cores vanish for longer than a voice packet
STALLED_SHARE = 0.9  # of the time some task waited for a core: nothing that was measured can be trusted


def main(descriptor: int) -> int:
    """Run the job on file ``descriptor``; returns the exit code (0 pass, 1 fail, 3 void)."""
    if orphaned():
        return Verdict.VOID.exit_code
    job = cast(Job, read_job(descriptor))
    screen = Screen()
    try:
        with History(job.directory / "history.jsonl") as history:
            result = _result(job, history, screen)
            history.append("verdict", verdict=result["verdict"], void=result["void"])
        write_result(job.directory, result)
    except OSError as error:  # a full disk: our word is all there can be
        print(f"void: the result cannot be written: {error}", file=sys.stderr)
        return Verdict.VOID.exit_code
    print_verdict(result, screen)
    return int(result["exit_code"])


def _result(job: Job, history: History, screen: Screen) -> Result:
    """What comes of the job, an interrupt or a fault included."""
    try:
        with interruptible():
            world.enter()
            history.append("run", scenario=job.scenario.name, parameters=dict(job.scenario.parameters))
            with Progress(screen) as progress:
                collected = Run(job, history, progress).execute()
                progress.show("judging")
                return judged(job, collected)
    except (Exception, KeyboardInterrupt) as error:
        if job.debug:
            traceback.print_exc()
        reason = "interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
        return void_result(job.directory, job.scenario, reason)


def judged(job: Job, collected: Collected) -> Result:
    """What a run's collected data amount to: the contents of ``result.json``."""
    spec, traffic = job.scenario.spec, job.traffic
    phases = windows(spec, collected.moments)
    connectivity = Connectivity(job.plan.network, failed_together(spec, job.targets))
    pairs = {(flow.client, flow.server) for flow in traffic.flows}
    pairs |= {(exchange.client, exchange.server) for exchange in traffic.exchanges}
    evidence = Evidence(
        traffic=traffic,
        fates={pair: connectivity.fate(*pair) for pair in pairs},
        flows=measure(collected.records, traffic.flows, traffic.endpoints, phases, collected.due),
        exchanges=measure_exchanges(collected.exchanges, traffic.exchanges, phases),
    )
    checks = judge(spec, evidence)
    demands = (*flow_engine_demands(collected.traffic), *machine_demands(collected))
    facts = {
        "versions": machine.versions(),
        "host": machine.facts(),
        "timing": {"up_s": round(collected.up_s, 3), "epoch_ns": collected.epoch_ns},
        "overhead": {name: round(us, 1) for name, us in asdict(collected.overhead).items()},
        "pressure": asdict(collected.pressure),
        "scheduling": collected.scheduling,
    }
    outcome = verdict(checks, demands)
    return build_result(Judged(job.scenario, job.directory.name, evidence, phases, checks, demands, outcome, facts))


def machine_demands(collected: Collected) -> tuple[Demand, ...]:
    """What the links and the machine must keep for the run to count."""
    demands = [
        Demand("99 % of frames late at a link's end by", collected.links.p99_us / 1000, LINK_LATE_P99_MS, "ms"),
        Demand("latest frame at a link's end late by", collected.links.max_us / 1000, LINK_LATE_MS, "ms"),
        Demand("frames dropped by the machine", collected.machine_drops, 0, ""),
        Demand("share of processor time taken by the host", round(collected.pressure.steal, 3), STEAL_SHARE, ""),
    ]
    if collected.pressure.stalled is not None:
        demands.append(Demand("time with a task waiting for a core", collected.pressure.stalled, STALLED_SHARE, ""))
    return tuple(demands)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
