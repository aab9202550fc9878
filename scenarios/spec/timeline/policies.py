"""The policies that a timeline puts in force: other policies, exceptions and quarantines, compiled beforehand."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from helsewan.common.document import Document, loads
from helsewan.common.errors import InputError, Problem
from helsewan.common.yaml_writer import to_yaml
from helsewan.policies.compile import Policy, compile_policy, load_policy, policy_path, read_policy
from helsewan.policies.plan import Plan
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.plan import TimelinePlan, known_steps

SECTIONS = {"exception": "exceptions", "quarantine": "quarantine"}
_NEVER = "9000-01-01"  # an exception lasts as long as its event


@dataclass(frozen=True)
class PolicyState:
    """What is in force: the policy of the event ``base`` (empty: the scenario's own), with the exceptions and
    quarantines of the events ``added``, all by their entries of the timeline."""

    base: str = ""
    added: frozenset[str] = frozenset()


@dataclass
class PolicyStates:
    """The policies of a timeline on one network. ``initial`` is the plan that the scenario begins with, of the policy
    in ``file``; exceptions are judged at ``at``."""

    spec: ScenarioSpec
    document: Document
    initial: Plan
    file: Path
    at: datetime
    _plans: dict[PolicyState, Plan] = field(default_factory=dict)

    def plan(self, state: PolicyState) -> Plan:
        """The plan of ``state``. Raises InputError, at the line of the event that is to blame."""
        if state not in self._plans:
            self._plans[state] = self._compiled(state)
        return self._plans[state]

    def _compiled(self, state: PolicyState) -> Plan:
        if state == PolicyState():
            return self.initial
        policy = self._base(state.base)
        blamed = ("timeline", state.base, "policy")
        try:
            if state.added:
                policy = self._with(policy, state.added)
            return compile_policy(policy, self.initial.network, now=self.at)
        except InputError as error:
            raise InputError(*(self._relocated(problem, state, blamed) for problem in error.problems)) from None

    def _base(self, entry: str) -> Policy:
        if not entry:
            return load_policy(self.file)
        named = self.spec.timeline[entry].policy
        assert named is not None
        path = ("timeline", entry, "policy")
        try:
            return load_policy(self.document.folder(path) / policy_path(named))
        except InputError as error:
            where = self.document.where(path)
            raise InputError(*(replace(problem, where=where) for problem in error.problems)) from None

    def _with(self, policy: Policy, added: frozenset[str]) -> Policy:
        data = copy.deepcopy(policy.document.data)
        for entry in sorted(added):
            action = self.spec.timeline[entry].action
            written = dict(self.document.data["timeline"][entry][action])
            if action == "exception":
                written["until"] = _NEVER
            data.setdefault(SECTIONS[action], {})[_name(entry)] = written
        return read_policy(loads(to_yaml(data).encode(), policy.document.name))

    def _relocated(self, problem: Problem, state: PolicyState, blamed: tuple[str, ...]) -> Problem:
        """A problem of a compiled policy, at the event that is to blame for it."""
        place = problem.where.rpartition(": ")[2]
        for entry in state.added:
            action = self.spec.timeline[entry].action
            if place.startswith(prefix := f"{SECTIONS[action]}.{_name(entry)}"):
                path = ("timeline", entry, action)
                where = self.document.where(path) + place.removeprefix(prefix)
                return replace(problem, where=where)
        if state.base:
            return replace(problem, where=f"{self.document.where(blamed)}: {problem.where}")
        return problem


def _name(entry: str) -> str:
    """The name of an event's exception or quarantine in the policy, which no policy of people is likely to have."""
    return f"event-{entry}"


def policy_problems(states: PolicyStates, plan: TimelinePlan) -> Iterator[Problem]:
    """Problems of the policies that the timeline puts in force: of every state that it is known to reach, and of each
    event alone whose time is not known. The plans are kept in ``states``."""
    spec = states.spec
    reached = [PolicyState()]
    bases: list[tuple[str, str]] = []  # (occurrence, entry) of the policies in force, the last one on top
    added: dict[str, str] = {}
    for step in known_steps(spec, plan):
        action = spec.timeline[step.entry].action
        if action == "policy":
            bases = [each for each in bases if each[0] != step.name]
            bases += [(step.name, step.entry)] if step.begins else []
        elif action in SECTIONS:
            added.pop(step.name, None)
            added |= {step.name: step.entry} if step.begins else {}
        reached.append(PolicyState(bases[-1][1] if bases else "", frozenset(added.values())))
    for event in plan.events:
        action = spec.timeline[event.entry].action
        if event.at_us is None and action == "policy":
            reached.append(PolicyState(event.entry))
        elif event.at_us is None and action in SECTIONS:
            reached.append(PolicyState("", frozenset({event.entry})))
    told = set()
    for state in dict.fromkeys(reached):
        try:
            states.plan(state)
        except InputError as error:
            for problem in error.problems:
                if str(problem) not in told:
                    told.add(str(problem))
                    yield problem
