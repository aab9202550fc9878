"""Results of a verification: violations, each with an example packet, and proofs where there are none."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from helsewan.controller.rules.paths import Failures
from helsewan.verification.concrete.fabric import Trace
from helsewan.verification.concrete.packet import Packet


class FindingKind(str, Enum):
    """Kinds of findings. Those in `HARMLESS` are no violations: they affect no packet."""

    LEAK = "leak"  # delivered, and no contract allows it
    BLACKHOLE = "blackhole"  # a contract allows it, and it is not delivered
    MISDELIVERED = "misdelivered"  # delivered to another site than the one that has the destination address
    LOOP = "loop"  # returns to a router and table in a state in which it was there before
    LOST = "lost"  # sent out of a port, or with a VLAN, that leads to no site
    MISMARKED = "mismarked"  # delivered with another DSCP, or carried in another MPLS TC, than that of its class
    TTL = "wrong-ttl"  # leaves a router with a TTL that it did not decrement exactly once
    UNPOLICED = "unpoliced"  # a class of an access link is not policed at its rate
    AMBIGUOUS = "ambiguous"  # two entries of equal priority match it and differ in effect: the switch may use either
    ONE_WAY = "one-way"  # a contract's packets pass, the replies to them do not
    ANSWER = "wrong-answer"  # a router does not answer a host as its gateway, or answers otherwise
    PUNT = "punt"  # packets are sent to the controller that should not be, or not sent that should be
    EXPIRES = "expires"  # an entry has a timeout
    PORT = "port"  # a port is configured or in a state so that it does not pass every packet
    DIFFERS = "differs"  # the running network treats it otherwise than its rules do, without violating the policy
    UNMODELLED = "not modelled"  # an entry uses what the verifier does not model: nothing is proved of its packets
    SHADOWED = "shadowed"  # an entry whose packets all match entries of higher priority
    UNREACHED = "unreached"  # an entry or group that no packet reaches


HARMLESS = frozenset({FindingKind.SHADOWED, FindingKind.UNREACHED})
# Violations by a switch's own state, which hold whatever has failed.
IN_EVERY_CASE = frozenset(
    {FindingKind.UNPOLICED, FindingKind.ANSWER, FindingKind.PUNT, FindingKind.EXPIRES, FindingKind.PORT}
)


@dataclass(frozen=True, slots=True)
class FailureCase:
    """A state of the network that is examined: its name in reports, and what has failed. The first is the intact
    network."""

    name: str
    failures: Failures


@dataclass(frozen=True)
class VerificationFinding:
    """A violation or a dead rule, with an example packet if there is one.

    ``site`` sends ``packet`` on its access link number ``access_link`` in ``case``; ``towards`` is the site that has
    its destination address, None if no site has. ``reason`` says what the policy expects of the packet, or what is
    wrong with an entry; ``source`` is the ``file:line`` of the policy that states it. ``trace`` is the packet's path,
    hop by hop. ``where`` is the router and entry of a finding without a packet. ``alike`` counts further pairs of sites
    with the same finding, or whatever else ``alike_are``. ``roles`` are the names
    of the roles of ``site`` and ``towards``."""

    kind: FindingKind
    case: str
    reason: str
    source: str
    site: str = ""
    access_link: int = 0
    towards: str | None = None
    packet: Packet | None = None
    trace: Trace | None = None
    where: str = ""
    alike: int = 0
    alike_are: str = "pairs of sites"
    roles: tuple[str | None, str | None] = (None, None)

    @property
    def is_violation(self) -> bool:
        """Whether it violates the policy."""
        return self.kind not in HARMLESS


@dataclass(frozen=True)
class IsolationProof:
    """A property that holds for every packet: the claim, the cases in which it holds, and the assumptions. In the first
    of the cases, packets from ``access_links`` were examined, and packets between the sites of ``pairs`` ordered pairs,
    as far as these are connected; ``of_access_links`` are those of the whole network. In the ``least`` of the cases, by
    name, ``least_access_links`` were examined."""

    claim: str
    cases: tuple[str, ...]
    access_links: int
    pairs: int
    assumed: tuple[str, ...]
    of_access_links: int = 0
    least: str = ""
    least_access_links: int = 0


@dataclass(frozen=True)
class VerificationReport:
    """The result of a verification. ``figures`` are times (``…_s``) and sizes, by name. ``vacuous`` are the cases in
    which no two sites are left that could exchange a packet, so that there is nothing to prove; ``unproved`` is what
    affects packets and was not examined."""

    policy: str
    network: str
    findings: tuple[VerificationFinding, ...]
    proofs: tuple[IsolationProof, ...]
    figures: dict[str, float] = field(default_factory=dict)
    vacuous: tuple[str, ...] = ()
    unproved: tuple[str, ...] = ()

    @property
    def violations(self) -> tuple[VerificationFinding, ...]:
        """The findings that violate the policy."""
        return tuple(finding for finding in self.findings if finding.is_violation)

    @property
    def is_vacuous(self) -> bool:
        """Whether nothing is proved or refuted, since in no case any two sites are left."""
        return bool(self.vacuous) and not self.proofs and not self.violations
