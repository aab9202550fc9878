"""Whether a fault changes what passes between sites, by packets alone: the interpreter follows each by the right rules
and by the faulty ones. It knows nothing of the verifier, which is judged by it.

The packets are those of the right network that met what is faulty now, in whatever state of the network; and such as
are made at the edges of what the faulty entries take.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from random import Random

from helsewan.controller.openflow.entries import Entry, FlowRule, GroupRule, RuleSet
from helsewan.controller.rules.paths import Failures
from helsewan.verification.concrete.fabric import Fabric
from helsewan.verification.concrete.switch import Switch
from helsewan.verification.mutation.corpus import INTACT, Corpus, Spot
from helsewan.verification.mutation.effect import HARMLESS, Effect, Meters, Probe, Seen, difference, meters_of, seen
from helsewan.verification.mutation.fields import meet
from helsewan.verification.mutation.headers import sampled
from helsewan.verification.mutation.mutant import Mutant, dependents
from helsewan.verification.mutation.packet_generator import PacketGenerator

_MADE, _MADE_FAILED = 1_200, 60  # packets made for one fault, intact and in a state after a failure
_RIVALS = 12
_GRAVITY = {effect: place for place, effect in enumerate(Effect)}


@dataclass(frozen=True, slots=True)
class Witness:
    """A packet that shows the effect of a fault, in a state of the network; ``tried`` is how many packets were
    traced."""

    effect: Effect
    tried: int = 0
    failures: Failures = INTACT
    probe: Probe | None = None
    right: Seen | None = None
    faulty: Seen | None = None


@dataclass(frozen=True)
class FaultOracle:
    """Determines the effect of any fault in the rules of one network."""

    corpus: Corpus
    states: dict[Failures, Fabric] = field(default_factory=dict)

    def judge(self, mutant: Mutant) -> Witness:
        """What it does between sites, if a packet shows that; else the gravest of what it does besides."""
        rules = mutant.of(self.corpus.rules[mutant.router])
        return self.weigh({mutant.router: rules}, self._trials(mutant))

    def effect(self, mutant: Mutant, failures: Failures, probe: Probe) -> Effect:
        """What it does to one packet."""
        rules = mutant.of(self.corpus.rules[mutant.router])
        return self.weigh({mutant.router: rules}, [(failures, [probe])]).effect

    def weigh(self, changed: dict[str, RuleSet], trials: Iterable[tuple[Failures, Iterable[Probe]]]) -> Witness:
        """The effect of other rules at some routers, by packets in states of the network."""
        faulty = self.faulty(changed)
        meters = {**self.corpus.meters, **meters_of(changed)}
        worst, tried = Witness(Effect.NONE), 0
        for failures, probes in trials:
            right_state, faulty_state = self._right(failures), replace(faulty, failures=failures)
            for probe in self.corpus.living(failures, tuple(probes)):
                tried += 1
                right, _ = seen(right_state, self.corpus.meters, probe)
                wrong, _ = seen(faulty_state, meters, probe)
                effect = difference(right, wrong)
                if effect is Effect.METER and self._shared(failures, probe, wrong, faulty_state, meters):
                    effect = Effect.POLICED
                if _GRAVITY[effect] < _GRAVITY[worst.effect]:
                    worst = Witness(effect, tried, failures, probe, right, wrong)
                if worst.effect not in HARMLESS:
                    return worst
        return replace(worst, tried=tried)

    def _shared(self, failures: Failures, probe: Probe, wrong: Seen, faulty: Fabric, meters: Meters) -> bool:
        """Whether packets of another line go through the same meter, by the faulty rules too."""
        router = self.corpus.plan.network.site[probe.site].accesses[probe.line].router
        for meter in wrong.meters:
            for rule in dependents(self.corpus.rules[router], meter):
                for other in self.corpus.hits.get((router, rule), {}).get(failures, ()):
                    if (other.site, other.line) != (probe.site, probe.line):
                        return meter in seen(faulty, meters, other)[0].meters
        return False

    def faulty(self, changed: Mapping[str, RuleSet]) -> Fabric:
        """All switches, with other rules at some routers."""
        switches = {**self.corpus.fabric.switches, **{router: Switch.of(rules) for router, rules in changed.items()}}
        return replace(self.corpus.fabric, switches=switches)

    def _right(self, failures: Failures) -> Fabric:
        """The right network in a state."""
        if failures not in self.states:
            self.states[failures] = replace(self.corpus.fabric, failures=failures)
        return self.states[failures]

    def _trials(self, mutant: Mutant) -> Iterator[tuple[Failures, Iterable[Probe]]]:
        rng, touched = Random(f"{self.corpus.seed} {mutant}"), self.touched(mutant)
        spots = [spot for entry in touched if (spot := _spot(mutant.router, entry))]
        spots += sampled(rng, self._rivals(mutant), _RIVALS)
        met: dict[Failures, list[Probe]] = {}
        for spot in spots:
            for failures, probes in self.corpus.hits.get(spot, {}).items():
                met.setdefault(failures, []).extend(probes)
        yield from sorted(met.items(), key=lambda each: each[0] != INTACT)
        flows = [entry for entry in touched if isinstance(entry, FlowRule)]
        made = [probe for entry in flows for probe in self._made.for_entry(mutant.router, entry, rng)]
        yield INTACT, sampled(rng, made, _MADE)
        for failures in met.keys() - {INTACT}:
            yield failures, sampled(rng, made, _MADE_FAILED)

    def _rivals(self, mutant: Mutant) -> Iterator[Spot]:
        """Entries whose packets a new entry may take: those that are met, of its table and no higher priority."""
        new = [entry for entry in mutant.after if isinstance(entry, FlowRule)]
        for rule in self.corpus.rules[mutant.router].flows if new else ():
            if (mutant.router, rule) in self.corpus.hits and any(
                rule.table is each.table and rule.priority <= each.priority and meet(rule.match, each.match)
                for each in new
            ):
                yield mutant.router, rule

    def touched(self, mutant: Mutant) -> tuple[Entry, ...]:
        """The entries that a fault is about, the ones that refer to a changed meter too."""
        entries = (*mutant.before, *mutant.after)
        rules = self.corpus.rules[mutant.router]
        meters = (each for each in entries if not isinstance(each, FlowRule | GroupRule))
        return (*entries, *(flow for meter in meters for flow in dependents(rules, meter)))

    @cached_property
    def _made(self) -> PacketGenerator:
        return PacketGenerator(self.corpus.plan)


def _spot(router: str, entry: Entry) -> Spot | None:
    if isinstance(entry, FlowRule):
        return router, entry
    return (router, entry.id) if isinstance(entry, GroupRule) else None
