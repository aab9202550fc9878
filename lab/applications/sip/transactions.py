"""The four transactions of SIP with their timers (RFC 3261, 17; the Accepted states: RFC 6026, 7).

client, INVITE      TRYING -> PROCEEDING -> ACCEPTED (2xx) or COMPLETED (3xx to 6xx) -> TERMINATED
client, other       TRYING -> PROCEEDING -> COMPLETED -> TERMINATED
server, INVITE      PROCEEDING -> ACCEPTED (2xx), or COMPLETED -> CONFIRMED (by its ACK) -> TERMINATED
server, other       TRYING -> COMPLETED -> TERMINATED
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from helsewan.lab.applications.sip.message import Request, Response

T1_US, T2_US, T4_US = 500_000, 4_000_000, 5_000_000  # RFC 3261, table 4
GIVE_UP_US = 64 * T1_US  # timers B, F, H, J, L and M
TIMER_D_US = 32_000_000

Send = Callable[[bytes], None]


class State(Enum):
    """Where a transaction is."""

    TRYING = auto()  # INVITE's "calling" too
    PROCEEDING = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


class _Timed:
    """Two timers: of the next retransmission and of the state's end; on a reliable transport the first never runs."""

    def __init__(self, send: Send, reliable: bool) -> None:
        self.state = State.TRYING
        self._send = send
        self._reliable = reliable
        self._interval_us = T1_US
        self._repeat_us: int | None = None
        self._end_us: int | None = None

    @property
    def due_us(self) -> int | None:
        """When ``fire`` is wanted; None: not at all."""
        times = [time_us for time_us in (self._repeat_us, self._end_us) if time_us is not None]
        return min(times, default=None)

    def _repeat(self, now_us: int) -> None:
        """Begin to retransmit."""
        self._interval_us = T1_US
        self._repeat_us = None if self._reliable else now_us + T1_US

    def _lasts(self, state: State, for_us: int, now_us: int) -> None:
        """Enter a state in which nothing is retransmitted by itself, and that ends after ``for_us``."""
        self._repeat_us = None
        self.state = state if for_us else State.TERMINATED
        self._end_us = now_us + for_us if for_us else None

    def _terminate(self) -> None:
        self.state, self._repeat_us, self._end_us = State.TERMINATED, None, None


class ClientTransaction(_Timed):
    """A request that was sent, until its final response has come."""

    def __init__(self, request: Request, send: Send, now_us: int, reliable: bool) -> None:
        super().__init__(send, reliable)
        self.request = request
        self.timed_out = False
        self._wire = request.encode()
        self._ack = b""
        self._repeat(now_us)  # timer A or E
        self._end_us = now_us + GIVE_UP_US  # timer B or F
        send(self._wire)

    @property
    def _is_invite(self) -> bool:
        return self.request.method == "INVITE"

    def fire(self, now_us: int) -> None:
        """A timer may have run out."""
        if self._end_us is not None and now_us >= self._end_us:
            self.timed_out = self.state in (State.TRYING, State.PROCEEDING)
            self._terminate()
        elif self._repeat_us is not None and now_us >= self._repeat_us:
            self._send(self._wire)
            if not self._is_invite:
                least = T2_US if self.state is State.PROCEEDING else self._interval_us * 2
                self._interval_us = min(least, T2_US)
            else:
                self._interval_us *= 2
            self._repeat_us = now_us + self._interval_us

    def receive(self, response: Response, now_us: int) -> bool:
        """Whether the response is news for the call."""
        waiting = self.state in (State.TRYING, State.PROCEEDING)
        if response.status < 200:
            if waiting:
                self.state = State.PROCEEDING
                if self._is_invite:  # the caller decides how long it rings
                    self._repeat_us = self._end_us = None
            return waiting
        if not self._is_invite:
            if waiting:
                self._lasts(State.COMPLETED, 0 if self._reliable else T4_US, now_us)  # timer K
            return waiting
        if response.status < 300:
            if waiting:
                self._lasts(State.ACCEPTED, GIVE_UP_US, now_us)  # timer M
            return self.state is State.ACCEPTED
        if waiting:
            self._ack = _ack_of_failure(self.request, response).encode()
            self._lasts(State.COMPLETED, 0 if self._reliable else TIMER_D_US, now_us)
        elif self.state is not State.COMPLETED:
            return False
        self._send(self._ack)
        return waiting


def _ack_of_failure(request: Request, response: Response) -> Request:
    """The ACK of a final response other than 2xx (17.1.1.3): in the same transaction."""
    kept = ("from", "call-id", "route", "max-forwards")
    headers = [("via", request.get("via")), *(each for each in request.headers if each[0] in kept)]
    headers += [("to", response.get("to")), ("cseq", f"{request.cseq[0]} ACK")]
    return Request(tuple(headers), b"", "ACK", request.uri)


class ServerTransaction(_Timed):
    """A request that came, until its final response need not be repeated any more."""

    def __init__(self, request: Request, send: Send, reliable: bool) -> None:
        super().__init__(send, reliable)
        self.request = request
        self.unacknowledged = False
        """No ACK of a final response other than 2xx has come in time."""
        self._is_invite = request.method == "INVITE"
        self.state = State.PROCEEDING if self._is_invite else State.TRYING
        self._last = b""

    def fire(self, now_us: int) -> None:
        """A timer may have run out."""
        if self._end_us is not None and now_us >= self._end_us:
            self.unacknowledged = self.state is State.COMPLETED and self._is_invite  # timer H
            self._terminate()
        elif self._repeat_us is not None and now_us >= self._repeat_us:  # timer G
            self._send(self._last)
            self._interval_us = min(self._interval_us * 2, T2_US)
            self._repeat_us = now_us + self._interval_us

    def respond(self, response: Response, now_us: int) -> None:
        """Send a response. None may follow a final one."""
        if self.state not in (State.TRYING, State.PROCEEDING):
            raise AssertionError("a second final response")
        self._last = response.encode()
        self._send(self._last)
        if response.status < 200:
            return
        if not self._is_invite:
            self._lasts(State.COMPLETED, 0 if self._reliable else GIVE_UP_US, now_us)  # timer J
        elif response.status < 300:
            self._lasts(State.ACCEPTED, GIVE_UP_US, now_us)  # timer L; the call repeats the 2xx
        else:
            self._lasts(State.COMPLETED, GIVE_UP_US, now_us)
            self._repeat(now_us)

    def repeated(self) -> None:
        """The request came again."""
        if self._last and self.state in (State.TRYING, State.PROCEEDING, State.COMPLETED):
            self._send(self._last)

    def acknowledged(self, now_us: int) -> None:
        """The ACK of a final response other than 2xx came."""
        if self.state is State.COMPLETED:
            self._lasts(State.CONFIRMED, 0 if self._reliable else T4_US, now_us)  # timer I
