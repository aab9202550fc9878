"""Faults in what switches do by themselves: each kind is sampled, has an effect that packets or entries show, and is
caught; rules that are right raise no alarm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache
from itertools import product

import pytest
from mutation_case import SEED, oracle, plan, rules

from helsewan.controller.openflow.entries import RuleSet
from helsewan.verification.failures import INTACT, cases
from helsewan.verification.findings import VerificationReport
from helsewan.verification.mutation.campaign import Campaign, FaultVerdict, Trial
from helsewan.verification.mutation.effect import HARMLESS
from helsewan.verification.mutation.live import LiveDetection
from helsewan.verification.mutation.mutant import Mutation
from helsewan.verification.mutation.sampling import TABLES, mutants
from helsewan.verification.mutation.trial import nothing_left
from helsewan.verification.static import verify

KINDS = (Mutation.TTL, Mutation.ANSWER, Mutation.PUNT, Mutation.TIMEOUT, Mutation.PORT)


def static(faulty: Mapping[str, RuleSet]) -> VerificationReport:
    """The verifier, first in the intact network, then under every single failure."""
    intact = verify(plan(), faulty, [INTACT])
    return intact if intact.violations else verify(plan(), faulty, cases(plan().network, "single"))


@cache
def trials() -> tuple[Trial, ...]:
    """Some faults of every kind, each in every table that can have it."""
    campaign = Campaign(oracle(), static, (INTACT,), LiveDetection(plan(), oracle().corpus.fabric, SEED, most=20))
    return tuple(campaign.run(mutants(plan().network, rules(), 36, SEED, product(KINDS, TABLES))))


def test_rules_with_the_ports_of_their_switches_raise_no_alarm() -> None:
    assert static(rules()).violations == ()


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_of_a_kind_is_caught_or_explained(kind: Mutation) -> None:
    those = [trial for trial in trials() if trial.kind == kind.value]
    verdicts = Counter(trial.verdict for trial in those)
    assert verdicts[FaultVerdict.CAUGHT] and not verdicts[FaultVerdict.MISSED], those
    assert not verdicts[FaultVerdict.FALSE_ALARM], [each for each in those if each.verdict is FaultVerdict.FALSE_ALARM]
    assert all(trial.why for trial in those if trial.verdict is FaultVerdict.SURVIVED)


@pytest.mark.exhaustive
def test_effects_are_shown_without_the_verifier() -> None:
    harmful = {trial.kind for trial in trials() if trial.witness.effect not in HARMLESS}
    assert harmful == {kind.value for kind in KINDS}


def test_a_network_of_which_nothing_is_left_is_a_trial_too() -> None:
    assert nothing_left(plan(), rules()).verdict is FaultVerdict.CAUGHT
