"""The fault oracle: whether a fault changes what passes between sites, by tracing packets through the correct rules and
through the faulty ones. It is independent of the verifier that it tests.

The packets are those that meet the entries concerned under the correct rules, in any state of the network, and those
generated at the boundaries of what the faulty entries match.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from random import Random

from helsewan.controller.openflow.entries import FlowRule, GroupRule, Port, RuleSet
from helsewan.controller.rules.paths import Failures
from helsewan.verification.concrete.fabric import Fabric
from helsewan.verification.concrete.switch import Switch
from helsewan.verification.mutation.corpus import INTACT, Corpus, EntryRef
from helsewan.verification.mutation.effect import (
    HARMLESS,
    Effect,
    Meters,
    ObservedPath,
    Probe,
    difference,
    meters_of,
    observe,
)
from helsewan.verification.mutation.fields import overlap
from helsewan.verification.mutation.headers import sample
from helsewan.verification.mutation.mutant import Held, Mutant, dependents
from helsewan.verification.mutation.packet_generator import PacketGenerator

_GENERATED, _GENERATED_FAILED = 1_200, 60  # packets per fault, intact and in each state after a failure
_OVERRIDDEN = 12
_SEVERITY = {effect: rank for rank, effect in enumerate(Effect)}


@dataclass(frozen=True, slots=True)
class Witness:
    """A packet that shows the effect of a fault, in a state of the network; ``tried`` is how many packets were
    traced."""

    effect: Effect
    tried: int = 0
    failures: Failures = INTACT
    probe: Probe | None = None
    correct: ObservedPath | None = None
    faulty: ObservedPath | None = None


@dataclass(frozen=True)
class FaultOracle:
    """Determines the effect of any fault in the rules of one network."""

    corpus: Corpus
    states: dict[Failures, Fabric] = field(default_factory=dict)

    def evaluate(self, mutant: Mutant) -> Witness:
        """The effect of a fault on traffic between sites if a packet shows one, else the worst harmless effect."""
        rules = mutant.apply(self.corpus.rules[mutant.router])
        found = self.compare({mutant.router: rules}, self._trials(mutant))
        own = _effect_without_packets(mutant)
        return found if own is None or found.effect not in HARMLESS else replace(found, effect=own)

    def effect_on(self, mutant: Mutant, failures: Failures, probe: Probe) -> Effect:
        """The effect of a fault on one packet in a state of the network."""
        rules = mutant.apply(self.corpus.rules[mutant.router])
        return self.compare({mutant.router: rules}, [(failures, [probe])]).effect

    def compare(self, changed: dict[str, RuleSet], trials: Iterable[tuple[Failures, Iterable[Probe]]]) -> Witness:
        """The most severe effect of other rules at some routers, by packets in states of the network. Stops at the
        first effect that is not harmless."""
        faulty = self.faulty_fabric(changed)
        meters = {**self.corpus.meters, **meters_of(changed)}
        worst, tried = Witness(Effect.NONE), 0
        for failures, probes in trials:
            correct_state, faulty_state = self._correct(failures), replace(faulty, failures=failures)
            for probe in self.corpus.on_live_links(failures, tuple(probes)):
                tried += 1
                correct, _ = observe(correct_state, self.corpus.meters, probe)
                faulty_path, _ = observe(faulty_state, meters, probe)
                effect = difference(correct, faulty_path)
                if effect is Effect.METER and self._is_shared(failures, probe, faulty_path, faulty_state, meters):
                    effect = Effect.POLICED
                if _SEVERITY[effect] < _SEVERITY[worst.effect]:
                    worst = Witness(effect, tried, failures, probe, correct, faulty_path)
                if worst.effect not in HARMLESS:
                    return worst
        return replace(worst, tried=tried)

    def _is_shared(
        self, failures: Failures, probe: Probe, faulty_path: ObservedPath, faulty: Fabric, meters: Meters
    ) -> bool:
        """Whether packets of another access link pass the same meter under the faulty rules."""
        router = self.corpus.plan.network.site[probe.site].accesses[probe.line].router
        for meter in faulty_path.meters:
            for rule in dependents(self.corpus.rules[router], meter):
                for other in self.corpus.hits.get((router, rule), {}).get(failures, ()):
                    if (other.site, other.line) != (probe.site, probe.line):
                        return meter in observe(faulty, meters, other)[0].meters
        return False

    def faulty_fabric(self, changed: Mapping[str, RuleSet]) -> Fabric:
        """The fabric with other rules at some routers."""
        switches = {**self.corpus.fabric.switches, **{router: Switch.of(rules) for router, rules in changed.items()}}
        return replace(self.corpus.fabric, switches=switches)

    def _correct(self, failures: Failures) -> Fabric:
        """The fabric with the correct rules in a state of the network."""
        if failures not in self.states:
            self.states[failures] = replace(self.corpus.fabric, failures=failures)
        return self.states[failures]

    def _trials(self, mutant: Mutant) -> Iterator[tuple[Failures, Iterable[Probe]]]:
        rng, affected = Random(f"{self.corpus.seed} {mutant}"), self.affected(mutant)
        entries_met = [entry_ref for entry in affected if (entry_ref := _entry_ref(mutant.router, entry))]
        entries_met += sample(rng, self._overridden(mutant), _OVERRIDDEN)
        met: dict[Failures, list[Probe]] = {}
        for entry_ref in entries_met:
            for failures, probes in self.corpus.hits.get(entry_ref, {}).items():
                met.setdefault(failures, []).extend(probes)
        yield from sorted(met.items(), key=lambda each: each[0] != INTACT)
        flows = [entry for entry in affected if isinstance(entry, FlowRule)]
        generated = [probe for entry in flows for probe in self._generator.for_entry(mutant.router, entry, rng)]
        yield INTACT, sample(rng, generated, _GENERATED)
        for failures in met.keys() - {INTACT}:
            yield failures, sample(rng, generated, _GENERATED_FAILED)

    def _overridden(self, mutant: Mutant) -> Iterator[EntryRef]:
        """Entries whose packets a new entry may match instead: in its table, with no higher priority; only those
        met."""
        new = [entry for entry in mutant.after if isinstance(entry, FlowRule)]
        for rule in self.corpus.rules[mutant.router].flows if new else ():
            if (mutant.router, rule) in self.corpus.hits and any(
                rule.table is each.table and rule.priority <= each.priority and overlap(rule.match, each.match)
                for each in new
            ):
                yield mutant.router, rule

    def affected(self, mutant: Mutant) -> tuple[Held, ...]:
        """The entries that a fault removes or adds, and those that refer to a changed meter."""
        entries = (*mutant.before, *mutant.after)
        rules = self.corpus.rules[mutant.router]
        meters = (each for each in entries if not isinstance(each, FlowRule | GroupRule | Port))
        return (*entries, *(flow for meter in meters for flow in dependents(rules, meter)))

    @cached_property
    def _generator(self) -> PacketGenerator:
        return PacketGenerator(self.corpus.plan)


def _effect_without_packets(mutant: Mutant) -> Effect | None:
    """An effect that no single packet shows: of ports and of timeouts."""
    if any(isinstance(entry, Port) for entry in (*mutant.before, *mutant.after)):
        return Effect.PORT
    flows = [entry for entry in mutant.after if isinstance(entry, FlowRule)]
    return Effect.EXPIRES if any(rule.idle_timeout_s or rule.hard_timeout_s for rule in flows) else None


def _entry_ref(router: str, entry: Held) -> EntryRef | None:
    if isinstance(entry, FlowRule):
        return router, entry
    return (router, entry.id) if isinstance(entry, GroupRule) else None
