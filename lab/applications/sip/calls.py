"""A call at either end: what a caller and a callee do with each message, and when (RFC 3261, 12 to 15)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from helsewan.lab.applications.sip import sdp
from helsewan.lab.applications.sip.message import (
    Address,
    Headers,
    Request,
    Response,
    address_of,
    bracketed,
    tag_of,
    uri_in,
    uri_parameter,
)
from helsewan.lab.applications.sip.transactions import GIVE_UP_US, T1_US, T2_US, ServerTransaction
from helsewan.lab.applications.tcp.end import ProtocolError

MAX_FORWARDS = "70"
RING = "ring"  # a URI parameter: for how many milliseconds the callee rings
DEFAULT_RING_US = 100_000
MAX_RING_US = 180_000_000  # a caller without a limit of its own may ring for three minutes (RFC 3261, 13.3.1.1)
ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS"


class Agent(Protocol):
    """What calls need of their user agent."""

    @property
    def address(self) -> Address:
        """Its own host and port."""

    def request(self, request: Request, peer: Address, call: Caller | Callee, now_us: int) -> None:
        """Send a request in a transaction of its own; ``call`` gets its responses."""

    def send(self, message: bytes, peer: Address) -> None:
        """Send a message once."""

    def via(self, branch: str = "") -> str:
        """A Via header of a new transaction, or of the one with ``branch``."""

    def token(self) -> str:
        """A random word for a tag."""

    def end(self, call: Caller | Callee) -> None:
        """The call is over."""


class CallState(Enum):
    """Where a call is."""

    INVITED = auto()  # no provisional response yet
    RINGING = auto()
    ANSWERED = auto()
    HANGING_UP = auto()  # a BYE is under way
    GIVEN_UP = auto()  # by the caller, before an answer
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What a caller does: lets it ring, talks for ``duration_us`` or until ``hang_up_by_us``, hangs up; gives up where
    no answer has come in time."""

    ring_us: int
    duration_us: int
    set_up_deadline_us: int
    hang_up_by_us: int | None = None


class Caller:
    """A call that this agent makes. Once ``ended_us`` is set it is over: ``error`` says why it failed, "" if it did
    not; ``answered_us`` is when it was answered, if it was."""

    def __init__(
        self, agent: Agent, peer: Address, call_id: str, media: sdp.Audio, plan: CallPlan, now_us: int
    ) -> None:
        self.state = CallState.INVITED
        self.began_us = now_us
        self.answered_us: int | None = None
        self.ended_us: int | None = None
        self.error = ""
        self.due_us: int | None = now_us + plan.set_up_deadline_us
        self.remote_media: sdp.Audio | None = None
        self._agent, self._peer, self._plan = agent, peer, plan
        self.call_id, self.tag = call_id, agent.token()
        self._cseq = 1
        self._target = f"sip:callee@{bracketed(peer[0])}:{peer[1]};{RING}={plan.ring_us // 1000}"
        self._to = f"<sip:callee@{bracketed(peer[0])}>"
        self._route: tuple[str, ...] = ()
        self._ack = b""
        self._cancelled = False
        body = sdp.write(media, now_us)
        more = (("contact", contact(agent)), ("allow", ALLOW), ("content-type", sdp.CONTENT_TYPE))
        self._invite = self._request("INVITE", more, body)
        agent.request(self._invite, peer, self, now_us)

    def respond(self, request: Request, response: Response, now_us: int) -> None:
        """A response to a request of this call."""
        if request.method == "BYE":
            self._over("" if response.status < 300 else f"BYE: {response.status} {response.reason}", now_us)
        elif request.method == "INVITE":
            self._invited(response, now_us)

    def timed_out(self, request: Request, now_us: int) -> None:
        """No final response to a request came in time."""
        self._over(f"{request.method} was not answered", now_us)

    def hung_up(self, now_us: int) -> None:
        """The other side sent a BYE."""
        self._over("" if self.state is CallState.HANGING_UP else "hung up by the callee", now_us)

    def fire(self, now_us: int) -> None:
        """The time ``due_us`` has come."""
        self.due_us = None
        if self.state is CallState.ANSWERED:
            self._hang_up(now_us)
        elif self.state in (CallState.INVITED, CallState.RINGING):
            ringing = self.state is CallState.RINGING
            self._over("deadline", now_us)
            self.state = CallState.GIVEN_UP
            if ringing:  # before a provisional response no CANCEL may be sent (9.1)
                self._cancel(now_us)

    def _invited(self, response: Response, now_us: int) -> None:
        if response.status < 200:
            if self.state is CallState.GIVEN_UP:
                self._cancel(now_us)
            elif self.state is CallState.INVITED:
                self.state = CallState.RINGING
        elif response.status >= 300:
            self._over(f"{response.status} {response.reason}".strip(), now_us)
        elif self._ack:
            self._agent.send(self._ack, self._peer)  # the 2xx was repeated: the ACK was lost
        else:
            self._answered(response, now_us)

    def _answered(self, response: Response, now_us: int) -> None:
        self._to = response.get("to")
        self._target = uri_in(response.get("contact")) or self._target
        self._route = tuple(reversed(response.all("record-route")))
        next_hop = address_of(uri_in(self._route[0])) if self._route else address_of(self._target)
        self._peer = next_hop or self._peer
        ack = self._request("ACK")
        self._ack = ack.encode()
        self._agent.send(self._ack, self._peer)
        if self.state is CallState.GIVEN_UP:
            self._hang_up(now_us)
            return
        self.state, self.answered_us = CallState.ANSWERED, now_us
        self.due_us = now_us + self._plan.duration_us
        if self._plan.hang_up_by_us is not None:
            self.due_us = max(min(self.due_us, self._plan.hang_up_by_us), now_us)
        try:
            self.remote_media = sdp.read(response.body)
        except ProtocolError as error:
            self.error = str(error)
            self._hang_up(now_us)

    def _hang_up(self, now_us: int) -> None:
        self.state, self.due_us = CallState.HANGING_UP, None
        self._cseq += 1
        self._agent.request(self._request("BYE"), self._peer, self, now_us)

    def _cancel(self, now_us: int) -> None:
        if not self._cancelled:
            self._cancelled = True
            kept = ("via", "from", "to", "call-id", "max-forwards")
            headers = [each for each in self._invite.headers if each[0] in kept]
            headers.append(("cseq", f"{self._invite.cseq[0]} CANCEL"))
            self._agent.request(Request(tuple(headers), b"", "CANCEL", self._invite.uri), self._peer, self, now_us)

    def _over(self, error: str, now_us: int) -> None:
        self.state, self.due_us = CallState.ENDED, None
        if self.ended_us is None:
            self.ended_us, self.error = now_us, self.error or error
            self._agent.end(self)

    def _request(self, method: str, more: Headers = (), body: bytes = b"") -> Request:
        own = f"<sip:caller@{bracketed(self._agent.address[0])}>;tag={self.tag}"
        headers = (
            ("via", self._agent.via()),
            ("max-forwards", MAX_FORWARDS),
            *(("route", route) for route in self._route),
            ("from", own),
            ("to", self._to),
            ("call-id", self.call_id),
            ("cseq", f"{self._cseq} {method}"),
            *more,
        )
        return Request(headers, body, method, self._target)


class Callee:
    """A call that came in: it rings as long as its URI says, is answered, and ends with the caller's BYE."""

    def __init__(
        self, agent: Agent, transaction: ServerTransaction, media: sdp.Audio, peer: Address, now_us: int
    ) -> None:
        self.state = CallState.RINGING
        self.due_us: int | None = None
        self.remote_media: sdp.Audio | None = None
        self.transaction = transaction
        self._agent, self._media, self._peer = agent, media, peer
        self._answer = b""
        self._repeat_us = T1_US
        self._give_up_us = 0
        request = transaction.request
        self.call_id, self.tag = request.call_id, agent.token()
        self._respond(100, "Trying", now_us)
        try:
            self._choose(request)
        except ProtocolError:
            self._respond(488, "Not Acceptable Here", now_us)
            self._over()
            return
        self._respond(180, "Ringing", now_us, (("contact", contact(agent)),))
        self.due_us = now_us + _ring_us(request)

    def fire(self, now_us: int) -> None:
        """The time ``due_us`` has come."""
        if self.state is CallState.RINGING:
            self.state = CallState.ANSWERED
            more = (("contact", contact(self._agent)), ("allow", ALLOW), ("content-type", sdp.CONTENT_TYPE))
            self._answer = self._respond(200, "OK", now_us, more, sdp.write(self._media, now_us)).encode()
            self._give_up_us = now_us + GIVE_UP_US
            self.due_us = now_us + self._repeat_us
        elif now_us >= self._give_up_us:  # no ACK: the session ends (13.3.1.4); nobody is there to be told by a BYE
            self._over()
        else:
            self._agent.send(self._answer, self._peer)
            self._repeat_us = min(self._repeat_us * 2, T2_US)
            self.due_us = now_us + self._repeat_us

    def acknowledged(self) -> None:
        """The ACK of the answer came."""
        if self.state is CallState.ANSWERED:
            self.due_us = None

    def cancelled(self, now_us: int) -> None:
        """The caller sent a CANCEL; it has no effect after the answer."""
        if self.state is CallState.RINGING:
            self._respond(487, "Request Terminated", now_us)
            self._over()

    def hung_up(self, now_us: int) -> None:
        """The other side sent a BYE; before the answer it ends the INVITE too (15.1.2)."""
        self.cancelled(now_us)
        self._over()

    def respond(self, request: Request, response: Response, now_us: int) -> None:
        """A response to a request of this call: it sends none."""

    def timed_out(self, request: Request, now_us: int) -> None:
        """No final response to a request came in time: it sends none."""

    def _choose(self, invite: Request) -> None:
        """Answer the offer; an INVITE without one is answered with an offer of our own."""
        if invite.body:
            self.remote_media = sdp.read(invite.body)
            self._media = sdp.answer(self.remote_media, self._media.address, self._media.port)

    def _over(self) -> None:
        if self.state is not CallState.ENDED:
            self.state, self.due_us = CallState.ENDED, None
            self._agent.end(self)

    def _respond(self, status: int, reason: str, now_us: int, more: Headers = (), body: bytes = b"") -> Response:
        made = response_to(self.transaction.request, status, reason, self.tag, more, body)
        self.transaction.respond(made, now_us)
        return made


def response_to(
    request: Request, status: int, reason: str, tag: str, more: Headers = (), body: bytes = b""
) -> Response:
    """A response with the headers that it takes from its request (8.2.6.2); ``tag`` names this side of the dialog."""
    headers = []
    for name, value in request.headers:
        if name == "to" and not tag_of(value) and status > 100:
            value = f"{value};tag={tag}"
        if name in ("via", "from", "to", "call-id", "cseq") or (name == "record-route" and 100 < status < 300):
            headers.append((name, value))
    return Response((*headers, *more), body, status, reason)


def contact(agent: Agent) -> str:
    """The Contact header of an agent."""
    host, port = agent.address
    return f"<sip:helsewan@{bracketed(host)}:{port}>"


def _ring_us(invite: Request) -> int:
    text = uri_parameter(invite.uri, RING)
    return min(int(text) * 1000, MAX_RING_US) if text.isascii() and text.isdigit() else DEFAULT_RING_US
