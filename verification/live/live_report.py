"""The outcomes of each probe side by side: that predicted by the rules, and that of the running network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from helsewan.verification.concrete.fabric import Trace
from helsewan.verification.expected.expected import Disposition
from helsewan.verification.findings import FindingKind, VerificationFinding
from helsewan.verification.live.generators.draft import ProbeKind
from helsewan.verification.live.outcome import Outcome
from helsewan.verification.live.sessions import Session
from helsewan.verification.live.test_packets import ProbePacket

LIVE = "live"  # the case name of findings in a running network


@dataclass(frozen=True)
class Answer:
    """The outcomes of one probe: by the rules (``static``, with its ``trace``), and in the network (``live``).
    ``proved`` are the sites that its packet reaches according to the static verifier, None where it did not compute
    them."""

    probe: ProbePacket
    static: Outcome
    live: Outcome
    trace: Trace
    proved: frozenset[str] | None = None

    @property
    def agrees(self) -> bool:
        """Whether rules, network and static verifier have the same outcome, down to the packet as delivered."""
        return self.static == self.live and self.proved in (None, self.static.sites)

    @property
    def conforms(self) -> bool:
        """Whether both outcomes are what the policy expects."""
        return self.static.conforms_to(self.probe.expected) and self.live.conforms_to(self.probe.expected)


@dataclass(frozen=True)
class SessionAnswer:
    """A session, and whether it was established in the network."""

    session: Session
    live: bool

    @property
    def agrees(self) -> bool:
        """Whether the network does what its rules predict."""
        return self.session.static == self.live

    @property
    def conforms(self) -> bool:
        """Whether both outcomes are what the policy expects."""
        return self.session.allowed == self.session.static == self.live


class Row(NamedTuple):
    """The counts for one kind of probe: sent, delivered or established by the rules, different in the network, and in
    violation of the policy by either."""

    kind: str
    asked: int
    arrive: int
    differ: int
    wrong: int


@dataclass(frozen=True)
class LiveReport:
    """All outcomes of probe packets and sessions, and the findings. ``deaf`` names the access links whose control probe
    was not answered: a missing packet there proves nothing. ``figures`` are times (``…_s``) and counts."""

    seed: int
    answers: tuple[Answer, ...]
    sessions: tuple[SessionAnswer, ...]
    findings: tuple[VerificationFinding, ...]
    deaf: tuple[str, ...]
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether all outcomes agree with each other and with the policy, and every access link received its
        control."""
        return not self.findings and not self.deaf

    def table(self) -> tuple[Row, ...]:
        """The counts by kind of probe, sessions last."""
        rows: dict[str, list[tuple[bool, bool, bool]]] = {group.value: [] for group in ProbeKind}
        for answer in self.answers:
            rows[answer.probe.kind.value].append((bool(answer.static.arrivals), answer.agrees, answer.conforms))
        rows["conversations"] = [
            (session.session.static, session.agrees, session.conforms) for session in self.sessions
        ]
        return tuple(
            Row(kind, len(each), sum(e[0] for e in each), sum(not e[1] for e in each), sum(not e[2] for e in each))
            for kind, each in rows.items()
            if each
        )


def side_by_side(
    answers: Sequence[Answer], sessions: Sequence[SessionAnswer], seed: int, figures: Mapping[str, float]
) -> LiveReport:
    """The report on these outcomes."""
    deaf = {
        f"{answer.probe.site}/wan{answer.probe.line}"
        for answer in answers
        if answer.probe.kind is ProbeKind.CONTROLS and not answer.live.answered
    }
    findings = [finding for answer in answers for finding in _findings(answer)]
    findings += [finding for answer in sessions for finding in _session_findings(answer)]
    return LiveReport(seed, tuple(answers), tuple(sessions), tuple(findings), tuple(sorted(deaf)), figures)


def _findings(answer: Answer) -> Iterator[VerificationFinding]:
    """The finding of a probe, if any: a violation of the policy, or else a difference between rules and network."""
    if answer.probe.kind is ProbeKind.CONTROLS and not answer.live.answered:
        return  # only reported in ``deaf``
    if not answer.conforms:
        at_fault = answer.live if not answer.live.conforms_to(answer.probe.expected) else answer.static
        yield _finding(_kind(answer, at_fault), answer)
    elif not answer.agrees:
        yield _finding(FindingKind.DIFFERS, answer)


def _session_findings(answer: SessionAnswer) -> Iterator[VerificationFinding]:
    """The finding of a session, if any."""
    session = answer.session
    if answer.conforms:
        return
    by_rules, in_network = (
        "is established" if each else "is not established" for each in (session.static, answer.live)
    )
    policy = "a contract allows it" if session.allowed else "no contract allows it"
    yield VerificationFinding(
        kind=FindingKind.BLACKHOLE if session.allowed else FindingKind.LEAK,
        case=LIVE,
        reason=f"{session.name}: {policy}; by the rules it {by_rules}, on the network it {in_network}",
        source=session.source,
        site=session.client,
        towards=session.server,
        packet=session.trace.hops[0].ingress.packet,
        trace=session.trace,
    )


def _kind(answer: Answer, outcome: Outcome) -> FindingKind:
    expected = answer.probe.expected
    if outcome.sites - {expected.towards}:
        return (
            FindingKind.LEAK
            if expected.disposition in (Disposition.DENIED, Disposition.ANSWERED)
            else FindingKind.MISDELIVERED
        )
    return FindingKind.LEAK if outcome.sites and expected.disposition is Disposition.DENIED else FindingKind.BLACKHOLE


def _finding(kind: FindingKind, answer: Answer) -> VerificationFinding:
    probe = answer.probe
    static, live = _outcomes_in_words(answer)
    return VerificationFinding(
        kind=kind,
        case=LIVE,
        reason=f"{probe.name}: {probe.expected.reason}; by the rules it {static}, on the network it {live}",
        source=probe.expected.source,
        site=probe.site,
        access_link=probe.line,
        towards=probe.expected.towards,
        packet=probe.packet,
        trace=answer.trace,
    )


def _outcomes_in_words(answer: Answer) -> tuple[str, str]:
    """Both outcomes in words; where their sites are the same, with the fields in which the delivered packets differ."""
    static, live = str(answer.static), str(answer.live)
    if answer.proved not in (None, answer.static.sites):
        return f"{static} (proved: {', '.join(sorted(answer.proved or ())) or 'no site'})", live
    if answer.agrees or static != live:
        return static, live
    ours, theirs = (dict(next(iter(each.arrivals)).packet.fields) for each in (answer.static, answer.live))
    names = sorted(name for name in ours | theirs if ours.get(name) != theirs.get(name))
    shown = [", ".join(f"{name}={fields.get(name)}" for name in names) for fields in (ours, theirs)]
    return f"{static} with {shown[0]}", f"{live} with {shown[1]}"
