"""A user's selection of rules and policy to verify, checked for consistency."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from helsewan.common.errors import InputError, Problem
from helsewan.lab.proofs.rule_sources import from_file, from_switches, intended
from helsewan.policies.plan import Plan
from helsewan.policies.plan_source import load_network_plan, load_plan
from helsewan.verification.dump.dump import Dump

DEFAULT_POLICY, DEFAULT_SEED = "national", 1


@dataclass(frozen=True)
class RuleQuery:
    """Options that select rules, and the policy to verify them against. Without a dump and without options that define
    a network, the rules are those of a running lab; with a policy only, they are the policy's intended rules."""

    name: str | None = None
    policy: str | None = None
    sites: int | None = None
    seed: int | None = None
    source: Path | None = None
    dump: Path | None = None
    at: datetime | None = None
    """the time at which exceptions are evaluated; None: now, or when a dump was taken"""

    def __post_init__(self) -> None:
        """Raises InputError for options that exclude each other."""
        network = {"--sites": self.sites, "--seed": self.seed, "--from": self.source}
        given = [option for option, value in network.items() if value is not None]
        problems = []
        if self.dump is not None and self.name is not None:
            problems.append(Problem("--rules", str(self.dump), "is not the network that --name means", "leave one out"))
        if given and self.dump is not None:
            problems.append(
                Problem(given[0], None, "cannot be combined with a dump, which contains its network", "leave it out")
            )
        elif given and self.name is not None:
            problems.append(
                Problem(given[0], None, "cannot be combined with a running network", "leave it or --name out")
            )
        if self.at is not None and self.is_live:
            hint = "name a --policy, a network or a dump; `helsewan rules dump` writes one"
            problems.append(Problem("--at", str(self.at), "is not now, and switches have the rules of now", hint))
        if problems:
            raise InputError(*problems)

    @property
    def is_intended(self) -> bool:
        """Whether the rules are a policy's intended rules."""
        options = (self.policy, self.sites, self.seed, self.source)
        return self.dump is None and self.name is None and any(each is not None for each in options)

    @property
    def is_live(self) -> bool:
        """Whether the rules are those of a running lab."""
        return self.dump is None and not self.is_intended

    def plan(self) -> Plan:
        """The plan of the policy on the network that the options name. Raises InputError."""
        seed = DEFAULT_SEED if self.seed is None else self.seed
        return load_network_plan(self.policy or DEFAULT_POLICY, self.source, self.sites, seed, at=self.at)

    def read(self) -> tuple[Dump, Plan]:
        """The rules, and the plan to verify them against. Raises InputError, and the errors of a running lab's
        client."""
        if self.is_intended:
            plan = self.plan()
            return intended(plan, self.at), plan
        if self.dump is not None:
            dump = from_file(self.dump)
            dump = replace(dump, taken=f"{self.dump} ({dump.taken})")
        else:
            dump = from_switches(self.name)
        if self.policy is None:
            return dump, dump.plan if self.at is None else dump.plan_at(self.at)
        plan = load_plan(self.policy, dump.network, self.at)
        return dump, replace(plan, answers_neighbours=dump.answers_neighbours)
