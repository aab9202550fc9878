"""What a scenario comes to before anything is started: its network, plan, targets and traffic, or all that is wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from helsewan.common.errors import InputError, Problem
from helsewan.common.suggestions import hints_limited
from helsewan.lab.flows.flowspec import TrafficPlan
from helsewan.lab.testbed.failure_state import Target
from helsewan.policies.compile import policy_path
from helsewan.policies.language.timestamps import utc_now
from helsewan.policies.plan import Plan
from helsewan.policies.plan_source import load_plan
from helsewan.scenarios.spec.draft import Draft, in_order
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.spec import Scenario, load_draft
from helsewan.scenarios.spec.timeline.prepare import PreparedTimeline, prepare_timeline
from helsewan.scenarios.spec.timeline.targets import resolve_timeline
from helsewan.scenarios.traffic.flows import plan_traffic
from helsewan.topology.model import Network
from helsewan.topology.network_source import load_network

# Options that the network's builder names, and the keys of a scenario that say the same
_NETWORK_KEYS = {"--sites": "sites", "--seed": "seed", "--from": "from", "--swedish-route": "swedish_route"}


@dataclass(frozen=True)
class Prepared:
    """A scenario that can run: its plan, its timeline and its traffic. ``policy_at``: the time
    that the policy's exceptions are judged at."""

    scenario: Scenario
    plan: Plan
    timeline: PreparedTimeline
    traffic: TrafficPlan
    policy_at: datetime

    @property
    def targets(self) -> Mapping[str, Target]:
        """The targets of its events, by entry of the timeline."""
        return self.timeline.targets


@hints_limited()
def prepare(name: str, overrides: Mapping[str, str], *, seed: int | None = None, sites: int | None = None) -> Prepared:
    """The scenario ``name``, of the library or a file, ready to run, with ``overrides`` (``--set`` keys and values),
    ``--seed`` and ``--sites``. Creates nothing. Raises ``InputError`` with all problems of the files, the network, the
    policy, the targets and the traffic; what depends on something wrong is not looked at."""
    draft = load_draft(name, overrides, seed=seed, sites=sites)
    if draft.spec is None:
        raise InputError(*draft.problems)
    options = [key for key, value in {"sites": sites, "seed": seed}.items() if value is not None]
    return _Fitting(draft, Scenario(draft.spec, draft.parameters, draft.document), options, utc_now()).fit(draft.spec)


def prepare_scenario(scenario: Scenario, policy_at: datetime | None = None) -> Prepared:
    """A scenario that was read, ready to run, under its policy as of ``policy_at`` or of now. Raises ``InputError``."""
    draft = Draft(scenario.document, scenario.parameters, scenario.spec, frozenset(), ())
    return _Fitting(draft, scenario, (), policy_at or utc_now()).fit(scenario.spec)


def problems(name: str, overrides: Mapping[str, str]) -> tuple[Problem, ...]:
    """All problems for which `prepare` refuses a scenario; none if it can run."""
    try:
        prepare(name, overrides)
    except InputError as error:
        return error.problems
    return ()


def _entry(problem: Problem) -> str:
    """The entry of a section that a problem is in; empty for one in no entry."""
    return ".".join(problem.location.key.split(".")[:2])


def _of_check(problem: Problem) -> bool:
    return problem.location.key.startswith(("checks.", "assert."))


class _Fitting:
    """Fits a draft to its network and policy, and collects what does not fit. ``options``: keys of the network that the
    command line gave."""

    def __init__(self, draft: Draft, scenario: Scenario, options: Collection[str], policy_at: datetime) -> None:
        self._draft, self._scenario, self._options, self._at = draft, scenario, options, policy_at
        self._problems = list(draft.problems)

    def fit(self, spec: ScenarioSpec) -> Prepared:
        """The scenario ready to run. Raises InputError with all problems."""
        network = plan = timeline = traffic = None
        if not self._draft.lacks("network"):
            with self._collected():
                network = self._network(spec)
        if not self._draft.lacks("policy"):
            with self._collected():
                plan = self._plan(spec, network)
        if network is not None and plan is None:
            with self._collected():
                resolve_timeline(spec, network, self._draft.document)
        if plan is not None:
            with self._collected():
                file, whole = self._policy_file(spec), all(entry[0] != "timeline" for entry in self._draft.lost)
                timeline = prepare_timeline(spec, plan, file, self._draft.document, self._at, whole)
            with self._collected():
                traffic = plan_traffic(spec, plan, self._draft.document)
        if self._problems or plan is None or timeline is None or traffic is None:
            raise InputError(*in_order(self._problems))
        return Prepared(self._scenario, plan, timeline, traffic, self._at)

    @contextmanager
    def _collected(self) -> Iterator[None]:
        try:
            yield
        except InputError as error:
            entries = {_entry(problem) for problem in self._problems} - {""}
            self._problems += (
                problem
                for problem in error.problems
                if not self._draft.follows(problem) and (_entry(problem) not in entries or not _of_check(problem))
            )

    def _network(self, spec: ScenarioSpec) -> Network:
        wanted = spec.network
        try:
            return load_network(self._scenario.source, wanted.sites, wanted.seed, wanted.swedish_route).network
        except InputError as error:
            raise InputError(*(self._in_file(problem) for problem in error.problems)) from None

    def _policy_file(self, spec: ScenarioSpec) -> Path:
        return self._draft.document.folder(("policy",)) / policy_path(spec.policy)

    def _in_file(self, problem: Problem) -> Problem:
        """A problem of the network at the scenario's line, unless an option of the command line gave the value."""
        key = _NETWORK_KEYS.get(problem.where)
        if problem.where == str(self._scenario.source):  # the network's file cannot be read
            return replace(problem, where=self._draft.document.where(("network", "from")), value=problem.where)
        if key is None or key in self._options:
            return problem
        return replace(problem, where=self._draft.document.where(("network", key)))

    def _plan(self, spec: ScenarioSpec, network: Network | None) -> Plan | None:
        """The plan on ``network``, None without one. Raises InputError, with the scenario's line for a policy that is
        neither in the library nor a file."""
        where, file = self._draft.document.where(("policy",)), None
        try:
            file = self._policy_file(spec)
            return None if network is None else load_plan(file, network, self._at)
        except InputError as error:
            if file is None:
                raise InputError(*(replace(problem, where=where) for problem in error.problems)) from None
            named = (
                replace(each, where=where, value=spec.policy) if each.where == str(file) else each
                for each in error.problems
            )
            raise InputError(*named) from None
