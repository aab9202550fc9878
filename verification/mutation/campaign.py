"""A mutation campaign: for each fault its effect, whether the verifier detects it, and the reason if not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from random import Random

from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.rules.generation import first_generation
from helsewan.verification.findings import FailureCase, VerificationFinding, VerificationReport
from helsewan.verification.mutation.corpus import INTACT
from helsewan.verification.mutation.effect import HARMLESS, Effect, Probe, state_name
from helsewan.verification.mutation.explain import SurvivorAnalysis
from helsewan.verification.mutation.intent import differing_packets
from helsewan.verification.mutation.live import LiveDetection
from helsewan.verification.mutation.mutant import Mutant
from helsewan.verification.mutation.policy_faults import PolicyMutant
from helsewan.verification.mutation.witness import FaultOracle, Witness

Verifier = Callable[[Mapping[str, RuleSet]], VerificationReport]


class FaultVerdict(str, Enum):
    """The result for one fault. Only `MISSED` and `FALSE_ALARM` are defects of the verifier."""

    CAUGHT = "caught"
    REFUSED = "refused by the compiler"  # the faulty policy is not valid
    SURVIVED = "survived"  # undetected, and harmless
    MISSED = "missed"  # undetected, though it changes what passes between sites
    FALSE_ALARM = "false alarm"  # the verifier's own witness packet is treated as under the correct rules


@dataclass(frozen=True, slots=True)
class Trial:
    """The result for one fault. ``kinds`` are the kinds of violations found, ``why`` the reason why the fault survived,
    ``live`` whether the live verifier's probes would detect it too."""

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
            "state": state_name(self.witness.failures),
            "verdict": self.verdict.value,
            "found": list(self.kinds),
            "why": self.why,
            "live": self.live,
        }


@dataclass(frozen=True)
class Campaign:
    """Runs faults in the rules of one network past ``verify``, the verifier under test; ``cases`` are the states of the
    network that it examines."""

    oracle: FaultOracle
    verify: Verifier
    cases: tuple[FailureCase, ...]
    live: LiveDetection

    def run(self, mutants: Iterable[Mutant]) -> Iterator[Trial]:
        """Evaluates each fault and runs the verifier on the faulty rules."""
        survivors, rules = SurvivorAnalysis(self.oracle.corpus), self.oracle.corpus.rules
        for mutant in mutants:
            witness = self.oracle.evaluate(mutant)
            report = self.verify(mutant.apply_to_all(self.oracle.corpus.rules))
            kinds = tuple(sorted({finding.kind.value for finding in report.violations}))
            about = mutant.kind.value, mutant.table, str(mutant), witness
            live = self.live.detects(
                self.oracle.faulty_fabric({mutant.router: mutant.apply(rules[mutant.router])}), mutant.router
            )
            if kinds:
                real = witness.effect is not Effect.NONE or any(
                    self._is_confirmed(mutant, each) for each in report.violations
                )
                yield Trial(*about, FaultVerdict.CAUGHT if real else FaultVerdict.FALSE_ALARM, kinds, live=live)
            elif witness.effect in HARMLESS:
                yield Trial(*about, FaultVerdict.SURVIVED, (), survivors.why(mutant, witness), live)
            else:
                yield Trial(*about, FaultVerdict.MISSED, live=live)

    def run_policies(self, mutants: Iterable[PolicyMutant]) -> Iterator[Trial]:
        """The same for faulty policies: their compiled rules are compared with those of the correct policy."""
        plan, correct = self.oracle.corpus.plan, self.oracle.corpus.rules
        for mutant in mutants:
            about = mutant.kind, "policy", mutant.what
            if mutant.plan is None:
                yield Trial(*about, Witness(Effect.NONE), FaultVerdict.REFUSED, (), mutant.refusal)
                continue
            generation = first_generation(mutant.plan)
            rules = {router: generation.rules(router) for router in correct}
            changed = {router: each for router, each in rules.items() if set(each) != set(correct[router])}
            if not changed:
                yield Trial(*about, Witness(Effect.NONE), FaultVerdict.SURVIVED, (), "compiles to the same rules")
                continue
            probes = differing_packets(plan, mutant.plan, Random(self.oracle.corpus.seed))
            witness = self.oracle.compare(changed, [(INTACT, probes)])
            kinds = tuple(sorted({finding.kind.value for finding in self.verify(rules).violations}))
            if kinds:
                yield Trial(*about, witness, FaultVerdict.CAUGHT, kinds)
            elif witness.effect in HARMLESS:
                why = f"of {witness.tried} packets of all pairs of roles, changes {witness.effect.value}"
                yield Trial(*about, witness, FaultVerdict.SURVIVED, (), why)
            else:
                yield Trial(*about, witness, FaultVerdict.MISSED)

    def _is_confirmed(self, mutant: Mutant, finding: VerificationFinding) -> bool:
        """Whether a finding's witness packet is treated differently under the correct rules; True for a finding without
        a packet."""
        if finding.packet is None:
            return True
        failures = next(case.failures for case in self.cases if case.name == finding.case)
        probe = Probe(finding.site, finding.access_link, finding.packet)
        return self.oracle.effect_on(mutant, failures, probe) is not Effect.NONE


def changes_delivery(trial: Trial) -> bool:
    """Whether a fault changes what passes between sites, by a packet found independently of the verifier or by a
    confirmed witness of the verifier."""
    return trial.witness.effect not in HARMLESS or trial.verdict is FaultVerdict.CAUGHT


def summary(trials: Iterable[Trial]) -> list[tuple[str, str, int, int, int, int, int, int]]:
    """Per kind of fault and table the number of: faults, those that change what passes between sites, caught, refused,
    survived, missed."""
    rows: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        rows.setdefault((trial.kind, trial.table), []).append(trial)

    def count(row: list[Trial], verdict: FaultVerdict) -> int:
        return sum(trial.verdict is verdict for trial in row)

    ends = FaultVerdict.CAUGHT, FaultVerdict.REFUSED, FaultVerdict.SURVIVED, FaultVerdict.MISSED
    return [
        (*key, len(row), sum(map(changes_delivery, row)), *(count(row, verdict) for verdict in ends))  # type: ignore[misc]
        for key, row in sorted(rows.items())
    ]
