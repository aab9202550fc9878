"""What a user asks to verify, checked for consistency."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from helsewan.common.errors import InputError, Problem
from helsewan.lab.proofs.rule_sources import from_file, from_switches, intended
from helsewan.policies.plan import Plan
from helsewan.policies.plan_source import load_network_plan, load_plan
from helsewan.verification.dump.dump import Dump

DEFAULT_POLICY, DEFAULT_SEED = "national", 1


@dataclass(frozen=True)
class RuleQuery:
    """Options: of which rules, and of which policy they are to be. A running network is meant where neither a dump nor
    anything that makes a network is named; a policy alone means the intended rules."""

    name: str | None = None
    policy: str | None = None
    sites: int | None = None
    seed: int | None = None
    source: Path | None = None
    dump: Path | None = None

    def __post_init__(self) -> None:
        """Raises InputError for options that do not go together."""
        made = {"--sites": self.sites, "--seed": self.seed, "--from": self.source}
        given = [option for option, value in made.items() if value is not None]
        problems = []
        if self.dump is not None and self.name is not None:
            problems.append(Problem("--rules", str(self.dump), "is not the network that --name means", "leave one out"))
        if given and self.dump is not None:
            problems.append(Problem(given[0], None, "goes with no dump, which has its network in it", "leave it out"))
        elif given and self.name is not None:
            problems.append(Problem(given[0], None, "goes with no running network", "leave it or --name out"))
        if problems:
            raise InputError(*problems)

    @property
    def is_intended(self) -> bool:
        """Whether the rules are those that a policy means."""
        made = (self.policy, self.sites, self.seed, self.source)
        return self.dump is None and self.name is None and any(each is not None for each in made)

    @property
    def is_live(self) -> bool:
        """Whether the rules are a running network's."""
        return self.dump is None and not self.is_intended

    def plan(self) -> Plan:
        """The plan of the policy on the network that the options name. Raises InputError."""
        seed = DEFAULT_SEED if self.seed is None else self.seed
        return load_network_plan(self.policy or DEFAULT_POLICY, self.source, self.sites, seed)

    def read(self) -> tuple[Dump, Plan]:
        """The rules, and what they are to do. Raises InputError, and what a running network raises."""
        if self.is_intended:
            plan = self.plan()
            return intended(plan), plan
        if self.dump is not None:
            dump = from_file(self.dump)
            dump = replace(dump, taken=f"{self.dump} ({dump.taken})")
        else:
            dump = from_switches(self.name)
        if self.policy is None:
            return dump, dump.plan
        plan = load_plan(self.policy, dump.network)
        return dump, replace(plan, answers_neighbours=dump.answers_neighbours)
