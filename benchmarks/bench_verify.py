"""The static verifier on national networks of increasing size: the intended rules, all packets of all access links
without a failure, and all single failures of links, routers, PoPs and access links.

Each size is measured in a process of its own, for a separate peak of memory.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from statistics import median

from benchmarks import Figure
from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.rules.generation import first_generation
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.policies.plan import Plan
from helsewan.topology.national.generator import national_network
from helsewan.verification.failures import cases
from helsewan.verification.mutation.sampling import mutants
from helsewan.verification.static import Static, Verification, verify

# By number of sites: targets for the seconds without a failure, and for those of all single failures.
SIZES = {100: ("", ""), 300: ("", ""), 1_000: ("", ""), 2_500: ("< 10", "< 60"), 10_000: ("< 60", "")}
CHANGES, SEED = 100, 3
_CHANGES = {
    "change_s": f"median of {CHANGES}",
    "change_kept_s": "median where the policy still holds",
    "change_broke_s": "median where the policy is violated, with all findings and their witnesses",
    "change_worst_s": "longest",
}
FAILURES_UP_TO = 2_500  # sites; larger networks have no target for failures


def run() -> list[Figure]:
    """Measure one size after the other; raises RuntimeError if the verifier finds a violation."""
    return [figure for sites, targets in SIZES.items() for figure in figures(sites, *targets)]


def figures(sites: int, intact: str, failures: str) -> list[Figure]:
    """The figures of one size."""
    child = subprocess.run([sys.executable, "-m", __name__, str(sites)], capture_output=True, text=True)
    if child.returncode != 0:
        raise RuntimeError(f"{sites} sites: {child.stderr.strip().splitlines()[-1:]}")
    seen, size = json.loads(child.stdout), f"{sites:,} sites"
    found = [
        Figure(f"{size}: rules of all routers", seen["entries"], ""),
        Figure(f"{size}: policy and rules computed", seen["rules_s"], "s"),
        Figure(f"{size}: verified without a failure, loading included", seen["none_s"], "s", intact),
    ]
    if "single_s" in seen:
        name = f"{size}: verified in all {seen['cases']} single failures too"
        found.append(Figure(name, seen["single_s"], "s", failures))
    for name, of in _CHANGES.items():
        if name in seen:
            found.append(Figure(f"{size}: after one rule changed, {of}", 1000 * seen[name], "ms", "< 50"))
    return [*found, Figure(f"{size}: memory, peak of all processes, upper bound", seen["peak_mib"], "MiB")]


def measure(sites: int) -> dict[str, float]:
    """Measure one size in this process. Raises RuntimeError if the verifier finds a violation."""
    began = time.perf_counter()
    network = national_network(sites)
    plan = compile_policy(load_policy(library_path("national")), network)
    generation = first_generation(plan)
    rules = {router.id: generation.rules(router.id) for router in network.routers}
    found: dict[str, float] = {"entries": sum(map(len, rules.values())), "rules_s": time.perf_counter() - began}
    for scope in ("none", "single")[: 2 if sites <= FAILURES_UP_TO else 1]:
        states, began = cases(network, scope), time.perf_counter()
        report = verify(plan, rules, states, workers=os.cpu_count() or 1)
        found[f"{scope}_s"] = time.perf_counter() - began
        found["cases"] = len(states) - 1
        if report.violations:
            raise RuntimeError(f"{len(report.violations)} violations: {report.violations[0].reason}")
    if sites <= FAILURES_UP_TO:
        found |= changes(plan, rules)
    return found | {"peak_mib": _peak_kib() / 1024}


def _peak_kib() -> int:
    """Peak memory of this process and its workers; shared pages count for each, so it is an upper bound."""
    own, worker = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own + worker * (os.cpu_count() or 1)


def changes(plan: Plan, rules: Mapping[str, RuleSet]) -> dict[str, float]:
    """Times to verify again after one rule changed, correctly or not, in every table in turn."""
    gc.disable()  # as verify does
    verification = Verification(plan, Static(plan.network, rules))
    verification.intact()
    router, held = next(iter(rules.items()))
    verification.after_change(router, held)  # prepares what all changes share
    broke: list[float] = []
    kept: list[float] = []
    for mutant in mutants(plan.network, rules, CHANGES, SEED):
        held, began = mutant.apply(rules[mutant.router]), time.perf_counter()
        found = verification.after_change(mutant.router, held)
        (broke if found else kept).append(time.perf_counter() - began)
    return {
        "change_s": median(broke + kept),
        "change_kept_s": median(kept),
        "change_broke_s": median(broke),
        "change_worst_s": max(broke + kept),
    }


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
