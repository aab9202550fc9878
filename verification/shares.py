"""Shares of a verification, and the processes that compute them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Protocol

from helsewan.common.processes import die_with_parent
from helsewan.controller.rules.paths import Failures
from helsewan.topology.model import AccessLinkId
from helsewan.verification.findings import FailureCase, VerificationFinding
from helsewan.verification.reports.differences import Key
from helsewan.verification.symbolic.dead_rules import EntryKey

_CASES_TO_SHARE = 8  # for each worker, from which on they share cases


@dataclass(frozen=True, slots=True)
class Share:
    """Some access links, in ``cases``; None for all of them, once the network as it stands was examined: ``is_clean``
    if that has no findings."""

    access_links: Sequence[AccessLinkId] | None
    cases: Sequence[FailureCase]
    is_clean: bool = False


@dataclass(frozen=True, slots=True)
class PartialResult:
    """The result of a share: findings, entries used (see `dead_rules.RuleUsage`), number of nodes, and times;
    ``is_clean``: the network as it stands was examined, and has no findings."""

    findings: dict[Key, VerificationFinding]
    uses: tuple[set[EntryKey], set[EntryKey]]
    nodes: int = 0
    intact_s: float = 0.0
    failures_s: float = 0.0
    is_clean: bool = False


class Shared(Protocol):
    """A verification that is shared."""

    def of_share(self, share: Share) -> PartialResult:
        """The result of a share."""
        ...


def are_many(cases: Sequence[FailureCase], workers: int) -> bool:
    """Whether workers should share the cases and not the access links: they would follow the same paths in the core."""
    return len(cases) >= _CASES_TO_SHARE * workers


def shares_of_cases(cases: Iterable[FailureCase], workers: int, is_clean: bool) -> list[Share]:
    """The cases for each of ``workers``; those with the same failures stay together."""
    by_failures: dict[Failures, list[FailureCase]] = {}
    for case in cases:
        by_failures.setdefault(case.failures, []).append(case)
    alike = list(by_failures.values())
    return [
        Share(None, [case for each in alike[first::workers] for case in each], is_clean)
        for first in range(min(workers, len(alike)))
    ]


def results(verification: Shared, shares: Sequence[Share]) -> list[PartialResult]:
    """The results of shares, each by a process that is forked from this one, which must have no other threads."""
    if len(shares) < 2:
        return [verification.of_share(share) for share in shares]
    with get_context("fork").Pool(len(shares), init_worker, (verification, shares)) as pool:
        return pool.map(_of_share, range(len(shares)), chunksize=1)


# In a worker: what it inherited when it was forked, which is too large to be pickled.
_inherited: list[tuple[Shared, Sequence[Share]]] = []


def init_worker(verification: Shared, shares: Sequence[Share]) -> None:
    """In a worker: keeps what it inherited."""
    die_with_parent()  # without it, the workers of a killed parent work on to the end of their shares
    _inherited.append((verification, shares))


def _of_share(index: int) -> PartialResult:
    ((verification, shares),) = _inherited
    return verification.of_share(shares[index])
