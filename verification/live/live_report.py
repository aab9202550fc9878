"""The answers to each probe side by side: those of the rules, and those of the running network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from helsewan.verification.concrete.fabric import Trace
from helsewan.verification.expected.expected import Disposition
from helsewan.verification.findings import FindingKind, VerificationFinding
from helsewan.verification.live.generators.draft import Group
from helsewan.verification.live.outcome import Outcome
from helsewan.verification.live.sessions import Session
from helsewan.verification.live.test_packets import ProbePacket

LIVE = "live"  # the case that findings of a running network are of


@dataclass(frozen=True)
class Answer:
    """A question, what the rules make of it and by which way, and what the network did. ``proved`` are the sites that
    the static verifier's sets have its packet reach, where it was asked."""

    question: ProbePacket
    static: Outcome
    live: Outcome
    walk: Trace
    proved: frozenset[str] | None = None

    @property
    def agrees(self) -> bool:
        """Whether the network does what its rules say, the packet as it arrives included, and the proof says so too."""
        return self.static == self.live and self.proved in (None, self.static.sites)

    @property
    def keeps(self) -> bool:
        """Whether both are what the policy wants."""
        return self.static.keeps(self.question.says) and self.live.keeps(self.question.says)


@dataclass(frozen=True)
class SessionAnswer:
    """A session, and whether it was established."""

    talk: Session
    live: bool

    @property
    def agrees(self) -> bool:
        """Whether the network does what its rules say."""
        return self.talk.static == self.live

    @property
    def keeps(self) -> bool:
        """Whether both are what the policy wants."""
        return self.talk.allowed == self.talk.static == self.live


class Row(NamedTuple):
    """One kind of question: how many were asked, how many of them arrive or come about by the rules, how many answers
    of the network differ from the rules', and how many of either from the policy."""

    kind: str
    asked: int
    arrive: int
    differ: int
    wrong: int


@dataclass(frozen=True)
class LiveReport:
    """All answers, of single packets and of conversations, and what is wrong about them. ``deaf`` names the access
    lines whose control was not heard: that nothing arrived there shows nothing. ``figures`` are times (``…_s``) and
    numbers."""

    seed: int
    answers: tuple[Answer, ...]
    talks: tuple[SessionAnswer, ...]
    findings: tuple[VerificationFinding, ...]
    deaf: tuple[str, ...]
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether all answers agree with each other and with the policy, and every place could hear."""
        return not self.findings and not self.deaf

    def table(self) -> tuple[Row, ...]:
        """What was asked and what came of it, for each kind of question."""
        told: dict[str, list[tuple[bool, bool, bool]]] = {group.value: [] for group in Group}
        for answer in self.answers:
            told[answer.question.group.value].append((bool(answer.static.arrivals), answer.agrees, answer.keeps))
        told["conversations"] = [(talk.talk.static, talk.agrees, talk.keeps) for talk in self.talks]
        return tuple(
            Row(kind, len(each), sum(e[0] for e in each), sum(not e[1] for e in each), sum(not e[2] for e in each))
            for kind, each in told.items()
            if each
        )


def side_by_side(
    answers: Sequence[Answer], talks: Sequence[SessionAnswer], seed: int, figures: Mapping[str, float]
) -> LiveReport:
    """The report on these answers."""
    deaf = {
        f"{answer.question.site}/wan{answer.question.line}"
        for answer in answers
        if answer.question.group is Group.CONTROLS and not answer.live.answered
    }
    findings = [finding for answer in answers for finding in _findings(answer)]
    findings += [finding for answer in talks for finding in _talk_findings(answer)]
    return LiveReport(seed, tuple(answers), tuple(talks), tuple(findings), tuple(sorted(deaf)), figures)


def _findings(answer: Answer) -> Iterator[VerificationFinding]:
    """What is wrong about an answer: where it breaks the policy, that; and where the rules do not say so, that."""
    if answer.question.group is Group.CONTROLS and not answer.live.answered:
        return  # its line is deaf: that is all it says
    if not answer.keeps:
        at_fault = answer.live if not answer.live.keeps(answer.question.says) else answer.static
        yield _finding(_kind(answer, at_fault), answer)
    elif not answer.agrees:
        yield _finding(FindingKind.DIFFERS, answer)


def _talk_findings(answer: SessionAnswer) -> Iterator[VerificationFinding]:
    """What is wrong about a conversation."""
    talk = answer.talk
    if answer.keeps:
        return
    comes = {True: "comes about", False: "does not come about"}
    word = "a contract allows it" if talk.allowed else "no contract allows it"
    yield VerificationFinding(
        kind=FindingKind.BLACKHOLE if talk.allowed else FindingKind.LEAK,
        case=LIVE,
        reason=f"{talk.name}: {word}; by the rules it {comes[talk.static]}, on the network it {comes[answer.live]}",
        source=talk.source,
        site=talk.client,
        towards=talk.server,
        packet=talk.walk.hops[0].came.packet,
        trace=talk.walk,
    )


def _kind(answer: Answer, outcome: Outcome) -> FindingKind:
    says = answer.question.says
    if outcome.sites - {says.towards}:
        return (
            FindingKind.LEAK
            if says.disposition in (Disposition.DENIED, Disposition.ANSWERED)
            else FindingKind.MISDELIVERED
        )
    return FindingKind.LEAK if outcome.sites and says.disposition is Disposition.DENIED else FindingKind.BLACKHOLE


def _finding(kind: FindingKind, answer: Answer) -> VerificationFinding:
    question = answer.question
    static, live = _told_apart(answer)
    return VerificationFinding(
        kind=kind,
        case=LIVE,
        reason=f"{question.name}: {question.says.reason}; by the rules it {static}, on the network it {live}",
        source=question.says.source,
        site=question.site,
        access_link=question.line,
        towards=question.says.towards,
        packet=question.packet,
        trace=answer.walk,
    )


def _told_apart(answer: Answer) -> tuple[str, str]:
    """Both outcomes in words, and where the sites are the same, in what the packets differ that arrive there."""
    static, live = str(answer.static), str(answer.live)
    if answer.proved not in (None, answer.static.sites):
        return f"{static} (proved: {', '.join(sorted(answer.proved or ())) or 'nobody'})", live
    if answer.agrees or static != live:
        return static, live
    ours, theirs = (dict(next(iter(each.arrivals)).packet.fields) for each in (answer.static, answer.live))
    names = sorted(name for name in ours | theirs if ours.get(name) != theirs.get(name))
    shown = [", ".join(f"{name}={fields.get(name)}" for name in names) for fields in (ours, theirs)]
    return f"{static} with {shown[0]}", f"{live} with {shown[1]}"
