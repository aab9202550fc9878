"""What a verifier found: violations, each with a packet that shows it, and proofs for all the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from helsewan.controller.rules.paths import Failures
from helsewan.verification.concrete.fabric import Trace
from helsewan.verification.concrete.packet import Packet


class Kind(str, Enum):
    """Kinds of findings. Those in `FLAWS` are no violations: they affect no packet."""

    LEAK = "leak"  # delivered, and no contract allows it
    BLACKHOLE = "blackhole"  # a contract allows it, and it is not delivered
    MISDELIVERED = "misdelivered"  # out of a line of another site than the one that has the address
    LOOP = "loop"  # comes back to where it was
    LOST = "lost"  # sent out of a port or on a VLAN behind which nothing is
    MISMARKED = "mismarked"  # delivered with another DSCP, or carried in another MPLS traffic class, than its class's
    UNPOLICED = "unpoliced"  # a class of an access line is not held to its rate
    AMBIGUOUS = "ambiguous"  # two entries of one priority match it and do different things: the switch may take either
    ONE_WAY = "one-way"  # a contract's packets pass, the replies to them do not
    DIFFERS = "differs"  # the running network does with it what its rules do not say, though no policy is broken
    UNMODELLED = "not modelled"  # an entry does what the verifier cannot judge, so nothing is proved of what meets it
    SHADOWED = "shadowed"  # an entry that no packet can meet, for others before it take them all
    UNREACHED = "unreached"  # an entry or group that no packet comes to


FLAWS = frozenset({Kind.SHADOWED, Kind.UNREACHED})


@dataclass(frozen=True, slots=True)
class Case:
    """A state of the network that is examined: its name in reports, and what has failed. The first is the intact
    network."""

    name: str
    failures: Failures


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, with a packet that shows it where there is one.

    ``site`` sends ``packet`` on its access line number ``line`` in ``case``; ``towards`` is the site that has its
    destination address, None where no site has; ``says`` is what the policy says of it and ``source`` the policy's
    ``file:line`` that says so; ``walk`` is its way hop by hop. ``where`` is the router and entry in question of what
    has no packet. ``alike`` counts further pairs of sites for which the same is wrong."""

    kind: Kind
    case: str
    says: str
    source: str
    site: str = ""
    line: int = 0
    towards: str | None = None
    packet: Packet | None = None
    walk: Trace | None = None
    where: str = ""
    alike: int = 0

    @property
    def is_violation(self) -> bool:
        """Whether a policy is broken by it."""
        return self.kind not in FLAWS


@dataclass(frozen=True)
class Proof:
    """A property that holds for every packet: which, of how many, and under what assumptions."""

    claim: str
    cases: tuple[str, ...]
    lines: int
    pairs: int
    assumed: tuple[str, ...]


@dataclass(frozen=True)
class VerificationReport:
    """The result of a verification. ``figures`` are times (``…_s``) and sizes, by name."""

    policy: str
    network: str
    findings: tuple[Finding, ...]
    proofs: tuple[Proof, ...]
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def violations(self) -> tuple[Finding, ...]:
        """Those findings that break the policy."""
        return tuple(finding for finding in self.findings if finding.is_violation)
