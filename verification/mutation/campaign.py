"""A trial of the verifier: for each fault its effect, whether it is detected, and the reason if not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from random import Random

from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.rules.generation import first_generation
from helsewan.verification.findings import FailureCase, VerificationFinding, VerificationReport
from helsewan.verification.mutation.corpus import INTACT
from helsewan.verification.mutation.effect import HARMLESS, Effect, Probe, named
from helsewan.verification.mutation.explain import Survivors
from helsewan.verification.mutation.intent import disputed
from helsewan.verification.mutation.live import Live
from helsewan.verification.mutation.mutant import Mutant
from helsewan.verification.mutation.policy_faults import PolicyMutant
from helsewan.verification.mutation.witness import FaultOracle, Witness

Verifier = Callable[[Mapping[str, RuleSet]], VerificationReport]


class FaultVerdict(str, Enum):
    """The result for one fault. Only `MISSED` and `FALSE_ALARM` are defects of the verifier."""

    CAUGHT = "caught"
    REFUSED = "refused by the compiler"  # a policy that says it means nothing
    SURVIVED = "survived"  # it does no harm
    MISSED = "missed"  # it changes what passes between sites, and nobody noticed
    FALSE_ALARM = "false alarm"  # the packet that the verifier shows fares as by the right rules


@dataclass(frozen=True, slots=True)
class Trial:
    """One fault tried. ``kinds`` are the violations found, ``why`` says why the fault survived, ``live``
    whether the live verifier's questions would show it too."""

    kind: str
    table: str
    what: str
    witness: Witness
    verdict: FaultVerdict
    kinds: tuple[str, ...] = ()
    why: str = ""
    live: bool = False

    def as_json(self) -> dict[str, object]:
        """As plain data."""
        return {
            "kind": self.kind,
            "table": self.table,
            "what": self.what,
            "effect": self.witness.effect.name.lower(),
            "state": named(self.witness.failures),
            "verdict": self.verdict.value,
            "found": list(self.kinds),
            "why": self.why,
            "live": self.live,
        }


@dataclass(frozen=True)
class Campaign:
    """Faults in the rules of one network. ``verify`` is the verifier on trial, ``cases`` the states that it
    examines."""

    jury: FaultOracle
    verify: Verifier
    cases: tuple[FailureCase, ...]
    live: Live

    def run(self, mutants: Iterable[Mutant]) -> Iterator[Trial]:
        """One trial after the other."""
        survivors, rules = Survivors(self.jury.corpus), self.jury.corpus.rules
        for mutant in mutants:
            witness = self.jury.judge(mutant)
            report = self.verify(mutant.among(self.jury.corpus.rules))
            kinds = tuple(sorted({finding.kind.value for finding in report.violations}))
            about = mutant.kind.value, mutant.table, str(mutant), witness
            live = self.live.sees(self.jury.faulty({mutant.router: mutant.of(rules[mutant.router])}), mutant.router)
            if kinds:
                real = witness.effect is not Effect.NONE or any(self._shows(mutant, each) for each in report.violations)
                yield Trial(*about, FaultVerdict.CAUGHT if real else FaultVerdict.FALSE_ALARM, kinds, live=live)
            elif witness.effect in HARMLESS:
                yield Trial(*about, FaultVerdict.SURVIVED, (), survivors.why(mutant, witness), live)
            else:
                yield Trial(*about, FaultVerdict.MISSED, live=live)

    def run_policies(self, mutants: Iterable[PolicyMutant]) -> Iterator[Trial]:
        """The same for policies: the rules that come of a faulty one are held against the right one."""
        plan, right = self.jury.corpus.plan, self.jury.corpus.rules
        for mutant in mutants:
            about = mutant.kind, "policy", mutant.what
            if mutant.plan is None:
                yield Trial(*about, Witness(Effect.NONE), FaultVerdict.REFUSED, (), mutant.refusal)
                continue
            generation = first_generation(mutant.plan)
            rules = {router: generation.rules(router) for router in right}
            changed = {router: each for router, each in rules.items() if set(each) != set(right[router])}
            if not changed:
                yield Trial(*about, Witness(Effect.NONE), FaultVerdict.SURVIVED, (), "the same rules come of it")
                continue
            probes = disputed(plan, mutant.plan, Random(self.jury.corpus.seed))
            witness = self.jury.weigh(changed, [(INTACT, probes)])
            kinds = tuple(sorted({finding.kind.value for finding in self.verify(rules).violations}))
            if kinds:
                yield Trial(*about, witness, FaultVerdict.CAUGHT, kinds)
            elif witness.effect in HARMLESS:
                why = f"of {witness.tried} packets of all pairs of roles, changes {witness.effect.value}"
                yield Trial(*about, witness, FaultVerdict.SURVIVED, (), why)
            else:
                yield Trial(*about, witness, FaultVerdict.MISSED)

    def _shows(self, mutant: Mutant, finding: VerificationFinding) -> bool:
        """Whether the verifier's own packet fares otherwise than by the right rules; what it shows without a packet is
        believed."""
        if finding.packet is None:
            return True
        failures = next(case.failures for case in self.cases if case.name == finding.case)
        probe = Probe(finding.site, finding.access_link, finding.packet)
        return self.jury.effect(mutant, failures, probe) is not Effect.NONE


def changes(trial: Trial) -> bool:
    """Whether a fault changes what passes between sites: by a packet found independently, or by the verifier's own,
    followed."""
    return trial.witness.effect not in HARMLESS or trial.verdict is FaultVerdict.CAUGHT


def table(trials: Iterable[Trial]) -> list[tuple[str, str, int, int, int, int, int, int]]:
    """Per kind of fault and table: made, changing what passes between sites, caught, refused, survived, missed."""
    rows: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        rows.setdefault((trial.kind, trial.table), []).append(trial)

    def count(row: list[Trial], verdict: FaultVerdict) -> int:
        return sum(trial.verdict is verdict for trial in row)

    ends = FaultVerdict.CAUGHT, FaultVerdict.REFUSED, FaultVerdict.SURVIVED, FaultVerdict.MISSED
    return [
        (*key, len(row), sum(map(changes, row)), *(count(row, verdict) for verdict in ends))  # type: ignore[misc]
        for key, row in sorted(rows.items())
    ]
