"""The first process of a run's sandbox: reads its job, runs it, judges it, writes the result."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from helsewan.common.exit_codes import ExitCode, exit_code_of
from helsewan.common.terminal.progress import Progress
from helsewan.common.terminal.screen import Screen
from helsewan.emulation.sandbox import sandbox
from helsewan.lab.health.stalls import with_failed_checks
from helsewan.lab.health.validity import (
    ValidityFinding,
    assess,
    of_exchanges,
    of_links,
    of_machine,
    of_plan,
    of_second,
    of_traffic,
)
from helsewan.lab.processes import machine
from helsewan.lab.processes.history import History
from helsewan.lab.processes.history import read as read_history
from helsewan.lab.processes.sandbox_process import interruptible, orphaned, read_job
from helsewan.scenarios.results.assertions import judge_assertions
from helsewan.scenarios.results.checks import Evidence, judge, near_stalls, verdict
from helsewan.scenarios.results.event_times import event_delays
from helsewan.scenarios.results.exchange_figures import measure_exchanges
from helsewan.scenarios.results.measure import measure
from helsewan.scenarios.results.outages import ArrivedDatagrams
from helsewan.scenarios.results.program_checks import judge_programs
from helsewan.scenarios.results.report import (
    INTERRUPTED,
    Judged,
    Result,
    build_result,
    error_result,
    void_result,
    write_result,
)
from helsewan.scenarios.results.verdict import print_verdict
from helsewan.scenarios.run.job import Job
from helsewan.scenarios.run.phases import windows
from helsewan.scenarios.run.run import PROGRAMS, Collected, Run
from helsewan.scenarios.spec.timeline.targets import Connectivity, failed_together

HISTORY = "history.jsonl"

if TYPE_CHECKING:
    from helsewan.scenarios.run.proof import Proofs


def main(descriptor: int) -> int:
    """Run the job on file ``descriptor``; returns the exit code (0 pass, 1 fail, 3 void, 70 or
    77 for an error)."""
    if orphaned():
        return ExitCode.VOID
    job = cast(Job, read_job(descriptor))
    screen = Screen()
    try:
        with History(job.directory / HISTORY) as history:
            result = _result(job, history, screen)
            history.append("verdict", verdict=result["verdict"], validity=result["validity"])
        write_result(job.directory, result)
    except OSError as error:  # a full disk: standard error is all that is left
        print(f"the result cannot be written: {error}", file=sys.stderr)
        return exit_code_of(error)
    print_verdict(result, screen)
    return int(result["exit_code"])


def _result(job: Job, history: History, screen: Screen) -> Result:
    """The result of the job; after an interrupt or an error one that says so."""
    try:
        with interruptible():
            sandbox.enter()
            history.append("run", scenario=job.scenario.name, parameters=dict(job.scenario.parameters))
            with Progress(screen) as progress:
                collected = Run(job, history, progress).execute()
                progress.show("judging")
                return judged(job, collected)
    except (Exception, KeyboardInterrupt) as error:
        if job.debug:
            traceback.print_exc()
        if isinstance(error, KeyboardInterrupt):
            return void_result(job.directory, job.scenario, INTERRUPTED)
        code = exit_code_of(error)
        reason = sandbox.explained(error)
        if code is ExitCode.VOID:
            return void_result(job.directory, job.scenario, reason)
        return error_result(job.directory, job.scenario, reason, code)


def judged(job: Job, collected: Collected) -> Result:
    """Judge a run's records; returns the contents of ``result.json``."""
    spec, traffic = job.scenario.spec, job.traffic
    phases = windows(spec, collected.event_times)
    connectivity = Connectivity(job.plan.network, failed_together(spec, job.timeline.targets, job.plan.network))
    pairs = {(flow.client, flow.server) for flow in traffic.flows}
    pairs |= {(exchange.client, exchange.server) for exchange in traffic.exchanges}
    arrived = ArrivedDatagrams(collected.records, traffic.flows, traffic.endpoints, collected.due, collected.epoch_ns)
    evidence = Evidence(
        traffic=traffic,
        fates={pair: connectivity.fate(*pair) for pair in pairs},
        flows=measure(collected.records, traffic.flows, traffic.endpoints, phases, collected.due),
        exchanges=measure_exchanges(collected.exchanges, traffic.exchanges, phases),
        arrived=arrived,
        done=collected.exchanges,
        phases=phases,
        event_times=collected.event_times,
        event_delays_us=event_delays(read_history(job.directory / HISTORY), collected.event_times),
        regions={site.id: site.region for site in job.plan.network.sites},
    )
    proved = _proofs(job, collected)
    found = tuple(findings(collected))
    judgements, near = near_stalls(spec, judge(spec, evidence), phases, found)
    asserted = judge_assertions(spec, evidence)
    expected = judge_programs(spec, collected.programs, job.directory / PROGRAMS)
    checks = (*judgements, *asserted, *expected, *(proved.checks() if proved else ()))
    validity = with_failed_checks(assess(found), near)
    facts = {
        "versions": machine.versions(),
        "host": machine.facts(),
        "timing": {"up_s": round(collected.up_s, 3), "epoch_ns": collected.epoch_ns},
        "overhead": {
            **{name: round(us, 1) for name, us in asdict(collected.overhead).items()},
            "short_lines_us": {name: round(us, 1) for name, us in collected.short_lines_us.items()},
        },
        "capacity": _capacity(collected),
        "pressure": asdict(collected.pressure),
        "cores_awake": collected.cores_awake,
        "scheduling": collected.scheduling,
        **collected.forwarding.as_json(),
        "programs": [asdict(result) for result in collected.programs],
        "isolation": proved and proved.as_json(),
    }
    outcome = verdict(checks, validity.grade)
    return build_result(Judged(job.scenario, job.directory.name, evidence, phases, checks, validity, outcome, facts))


def _proofs(job: Job, collected: Collected) -> Proofs | None:
    """The run's proofs of isolation; None where the scenario verifies nothing."""
    if job.scenario.spec.verify is None:
        return None
    from helsewan.scenarios.run.proof import proofs  # loads the verifier, which most runs do not need

    return proofs(job.plan, job.scenario.spec.verify.rules, collected.dumps, collected.live)


def _capacity(collected: Collected) -> dict[str, object] | None:
    if collected.capacity is None or collected.required_cores is None:
        return None
    return {**asdict(collected.capacity), "asked_cores": round(collected.required_cores, 3)}


def findings(collected: Collected) -> Iterator[ValidityFinding]:
    """Everything measured that shows whether the machine kept up."""
    if collected.capacity is not None and collected.required_cores is not None:
        yield from of_plan(collected.required_cores, collected.capacity.cores)
    yield from of_traffic(collected.traffic)
    yield from of_exchanges(collected.begins)
    if collected.links is not None:
        yield from of_links(collected.links)
    yield from of_machine(collected.pressure, collected.machine_drops)
    for second in collected.seconds:
        yield from of_second(second)
