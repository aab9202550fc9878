"""``result.json``, the machine-readable result of a run: its contents, and writing it.

    schema          3; grows when a reader must change (2: the unit of a check is the unit of its value; 3: the verdict
                    "error")
    scenario, run   the scenario's name, the run's id (its directory's name)
    verdict         "pass", "fail", "void" or "error"; exit_code: 0, 1, 3, or that of the error: 70 an internal one, 77
                    a missing privilege, 2 the machine's or the input's
    error           what ended the run; only where the verdict is "error": validity's grade is null, for there is none
    validity        grade: "valid", "suspect" or "void" (docs/validity.md); reasons: each with its grade, what, where
                    (link or component; "": everywhere), seconds (of the run; []: over all of it), value, limit, unit
    void            the reasons of grade void, for people
    checks          of checks and assertions: name, metric, passed (null: left out), value, limit, detail; unit, that
                    of value: "us", "bit/s", "share" (0 to 1), "count", "min", "MOS" (1 to 4.5) or "R" (ITU-T G.107);
                    conclusive: no slow machine can cause a failure; severity: "must", or "should", whose failure is a
                    warning
    keeping_up      every demand on the machine: name, worst value, the bounds suspect and void, unit, whether kept
    phases          name, start_us, end_us as they took place, from the run's start; none has a part of the warm-up
    classes         class -> phase -> figures of its flows together (probes and controls left out)
    traffic         entry of the traffic -> phase -> figures together
    flows           each flow: what it was, its fate, phase -> figures
    exchanges       the same for TCP requests and responses
    overhead        delay that the machine adds, by calibration, microseconds (docs/decisions/0006);
                    short_lines_us: links whose delay is shorter than what had to be taken off it, and by how much
    capacity        what the machine can carry, measured before the run (lab/calibration/capacity.py), and asked_cores:
                    how many cores the traffic takes by that
    pressure        processor use: stalled, busy, steal, as shares
    parameters, seed, sites, policy, versions, host, timing, scheduling (null without an engine)
    cores_awake     whether idle cores were kept from sleeping (emulation/sandbox/realtime.py)
    isolation       static: name of the time -> proof of the rules read then; live: "before", "after" the traffic
                    -> probe packets and their results (docs/verify.md); null where the scenario verifies nothing
    dataplane       what carried the frames: "engine" or "kernel"
    router_kind     "shared" (bridges of one Open vSwitch) or "private" (an Open vSwitch each)
    router_kind_reason  why routers were private although nobody asked for that; else absent

Figures carry their unit in their name (us, bps; shares are from 0 to 1); null means that there was nothing
to take one from.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from helsewan.common.exit_codes import ExitCode
from helsewan.common.ownership import give
from helsewan.lab.flows.flowspec import ExchangeSpec, Expect, FlowKind, FlowSpec
from helsewan.lab.health.validity import Grade, Kept, Reason, Validity
from helsewan.scenarios.results.checks import CheckResult, Evidence, RunVerdict
from helsewan.scenarios.results.exchange_figures import ExchangeFigures
from helsewan.scenarios.results.measure import Figures, Window
from helsewan.scenarios.spec.spec import Scenario

SCHEMA = 3
RESULT = "result.json"
INTERRUPTED = "interrupted"  # why a run that the user ended has no verdict
DIGITS = 4  # after the point; finer than any figure is true

Result = dict[str, Any]


@dataclass(frozen=True)
class Judged:
    """Everything ``result.json`` is made of. ``facts`` are further keys of the top level: versions, host, timing …"""

    scenario: Scenario
    run_id: str
    evidence: Evidence
    windows: Sequence[Window]
    checks: Sequence[CheckResult]
    validity: Validity
    verdict: RunVerdict
    facts: Mapping[str, Any]


def build_result(judged: Judged) -> Result:
    """The contents of ``result.json``."""
    evidence, phases = judged.evidence, [window.name for window in judged.windows]
    regular = [flow for flow in evidence.traffic.flows if _is_regular(flow)]
    return {
        **_heading(judged.scenario, judged.run_id, judged.verdict),
        **_validity(judged.validity),
        "checks": [_plain(asdict(check)) for check in judged.checks],
        "keeping_up": [_kept(kept) for kept in judged.validity.kept],
        "phases": [asdict(window) for window in judged.windows],
        "classes": _together(regular, lambda flow: flow.class_name, phases, evidence.flows.pool),
        "traffic": {
            **_together(evidence.traffic.flows, _group, phases, evidence.flows.pool),
            **_together(evidence.traffic.exchanges, lambda spec: spec.entry, phases, evidence.exchanges.pool),
        },
        "flows": [_row(flow, evidence, evidence.flows.figures, phases) for flow in evidence.traffic.flows],
        "exchanges": [_row(spec, evidence, evidence.exchanges.figures, phases) for spec in evidence.traffic.exchanges],
        "stray_datagrams": evidence.flows.stray,
        **judged.facts,
    }


def write_result(directory: Path, result: Result) -> Path:
    """Write ``result.json`` in one step: a reader sees all of it or none. Returns its path."""
    descriptor, temporary = tempfile.mkstemp(prefix=".result-", dir=directory)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            give(descriptor)
            os.fchmod(descriptor, 0o644)
            json.dump(result, file, ensure_ascii=False, allow_nan=False, indent=1)
            file.write("\n")
        os.replace(temporary, directory / RESULT)
    except BaseException:
        os.unlink(temporary)
        raise
    return directory / RESULT


def void_result(directory: Path, scenario: Scenario, reason: str) -> Result:
    """The result of a run that ended before it could be judged."""
    heading = _heading(scenario, directory.name, RunVerdict.VOID)
    ended = Reason(Grade.VOID, f"the run ended before its verdict: {reason}")
    return {**heading, **_validity(Validity(Grade.VOID, (ended,), ())), "checks": [], "classes": {}}


def error_result(directory: Path, scenario: Scenario, reason: str, code: ExitCode) -> Result:
    """The result of a run that ended by an error which says nothing of the machine's speed; ``code`` is its exit
    code."""
    heading = _heading(scenario, directory.name, RunVerdict.ERROR)
    validity = {"validity": {"grade": None, "reasons": []}, "void": []}
    return {**heading, "exit_code": code, "error": reason, **validity, "checks": [], "classes": {}}


def _validity(validity: Validity) -> Result:
    return {
        "validity": {
            "grade": validity.grade.value,
            "reasons": [
                _plain({**asdict(reason), "grade": reason.grade.value, "seconds": list(reason.seconds)})
                for reason in validity.reasons
            ],
        },
        "void": [str(reason) for reason in validity.reasons if reason.grade is Grade.VOID],
    }


def _kept(kept: Kept) -> Result:
    demand, worst = kept.demand, kept.worst
    bounds = {"suspect": demand.suspect, "void": demand.void}
    return _plain({"name": demand.what, "value": worst, **bounds, "unit": demand.unit, "kept": kept.holds})


def _heading(scenario: Scenario, run_id: str, verdict: RunVerdict) -> Result:
    return {
        "schema": SCHEMA,
        "scenario": scenario.name,
        "run": run_id,
        "verdict": verdict.value,
        "exit_code": verdict.exit_code,
        "policy": scenario.policy,
        "seed": scenario.network.seed,
        "sites": scenario.network.sites,
        "parameters": dict(scenario.parameters),
    }


def _is_regular(flow: FlowSpec) -> bool:
    return flow.expect is Expect.DELIVERED and flow.kind not in (FlowKind.CONTROL, FlowKind.RTCP, FlowKind.SCAN)


def _group(flow: FlowSpec) -> str:
    """The entry a flow belongs to; probes, controls, scans and reports by the part of it they are."""
    return flow.entry if _is_regular(flow) else flow.groups[1]


def _together(
    specs: Iterable[Any],
    key: Callable[[Any], str],
    phases: Sequence[str],
    pool: Callable[[Iterable[int], str], Figures | ExchangeFigures],
) -> Result:
    ids: dict[str, list[int]] = {}
    for spec in specs:
        ids.setdefault(key(spec), []).append(spec.id)
    return {name: {phase: _plain(asdict(pool(own, phase))) for phase in phases} for name, own in ids.items()}


def _row(
    spec: FlowSpec | ExchangeSpec,
    evidence: Evidence,
    figures: Mapping[tuple[int, str], Any],
    phases: Sequence[str],
) -> Result:
    return {
        "id": spec.id,
        "name": spec.name,
        "class": spec.class_name,
        "service": spec.service,
        "client": spec.client,
        "server": spec.server,
        "expect": spec.expect.value,
        "fate": evidence.fates[spec.client, spec.server].value,
        "groups": list(spec.groups),
        "phases": {phase: _plain(asdict(figures[spec.id, phase])) for phase in phases},
    }


def _plain(figures: Mapping[str, Any]) -> Result:
    """Figures as JSON has them: NaN and infinity are null."""
    return {name: _number(value) if isinstance(value, float) else value for name, value in figures.items()}


def _number(value: float) -> float | None:
    return round(value, DIGITS) if isfinite(value) else None
