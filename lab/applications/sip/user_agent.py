"""A SIP user agent: calls and is called, at one address over one transport. No I/O: ``receive`` and ``fire`` take what
arrives and the time, ``outbox`` has what is to be sent, ``due_us`` says when ``fire`` is wanted next.

Every second port of ``media_ports`` is offered for RTP. The transport's messages are datagrams, or a stream's messages.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import replace
from itertools import count, cycle
from random import Random

from helsewan.lab.applications.sip import sdp
from helsewan.lab.applications.sip.calls import ALLOW, Callee, Caller, CallPlan, response_to
from helsewan.lab.applications.sip.message import (
    BRANCH_COOKIE,
    VERSION,
    Address,
    Request,
    Response,
    bracketed,
    parse,
    tag_of,
)
from helsewan.lab.applications.sip.transactions import ClientTransaction, ServerTransaction, State
from helsewan.lab.applications.tcp.end import ProtocolError

MAX_CALLEES = 20_000
MAX_TRANSACTIONS = 200_000  # of others' requests; beyond it they are not heard
_Key = tuple[str, str, int, str]
_Timed = ClientTransaction | ServerTransaction | Caller | Callee


class UserAgent:
    """An agent at ``address``; ``seed`` determines its tags and branches."""

    def __init__(self, address: Address, media_ports: range, seed: str, reliable: bool = False) -> None:
        self.outbox: deque[tuple[bytes, Address]] = deque()
        self.ended: deque[Caller] = deque()
        """Calls of this agent that are over; the driver takes them out."""
        self.malformed = 0
        self._address = address
        self._reliable = reliable
        self._rng = Random(seed)
        self._numbers = count(1)
        self._ports = cycle(range(media_ports.start + media_ports.start % 2, media_ports.stop, 2))
        self._clients: dict[tuple[str, str], tuple[ClientTransaction, Caller | Callee]] = {}
        self._servers: dict[_Key, ServerTransaction] = {}
        self._ringing: dict[_Key, Callee] = {}
        self._dialogs: dict[tuple[str, str], Caller | Callee] = {}  # by Call-ID and own tag
        self._callees = 0
        self._timers: list[tuple[int, int, _Timed]] = []
        self._scheduled: dict[_Timed, int] = {}  # which of its timers counts

    # --- what its driver uses ---

    def call(self, peer: Address, plan: CallPlan, now_us: int) -> Caller:
        """Call the agent at ``peer``."""
        call_id = f"{self.token()}@{self._address[0]}"
        caller = Caller(self, peer, call_id, self._audio(sdp.KNOWN), plan, now_us)
        self._dialogs[call_id, caller.tag] = caller
        self._watch(caller)
        return caller

    def receive(self, data: bytes, source: Address, now_us: int) -> None:
        """Take a message that arrived; what is none is counted in ``malformed``."""
        if not data.strip(b"\r\n\0"):  # keeps a binding in a NAT alive
            return
        try:
            message = parse(data)
        except ProtocolError:
            self.malformed += 1
            return
        if isinstance(message, Response):
            self._response(message, now_us)
        else:
            self._request(message, source, now_us)

    @property
    def due_us(self) -> int | None:
        """When ``fire`` is wanted; None: not before something arrives."""
        return self._timers[0][0] if self._timers else None

    def fire(self, now_us: int) -> None:
        """Do what is due."""
        while self._timers and self._timers[0][0] <= now_us:
            at_us, _, timed = heapq.heappop(self._timers)
            if self._scheduled.get(timed) != at_us:
                continue
            del self._scheduled[timed]
            due_us = timed.due_us
            if due_us is not None and due_us <= now_us:
                timed.fire(now_us)
                if isinstance(timed, ClientTransaction) and timed.timed_out:
                    self._clients[self._client_key(timed.request)][1].timed_out(timed.request, now_us)
            self._watch(timed)

    # --- what calls use ---

    @property
    def address(self) -> Address:
        """Its own host and port."""
        return self._address

    def request(self, request: Request, peer: Address, call: Caller | Callee, now_us: int) -> None:
        """See ``calls.Agent``."""
        transaction = ClientTransaction(request, lambda data: self.send(data, peer), now_us, self._reliable)
        self._clients[self._client_key(request)] = transaction, call
        self._watch(transaction)

    def send(self, message: bytes, peer: Address) -> None:
        """See ``calls.Agent``."""
        self.outbox.append((message, peer))

    def via(self, branch: str = "") -> str:
        """See ``calls.Agent``."""
        host, port = self._address
        transport = "TCP" if self._reliable else "UDP"
        branch = branch or f"{BRANCH_COOKIE}{self.token()}"
        return f"{VERSION}/{transport} {bracketed(host)}:{port};branch={branch};rport"

    def token(self) -> str:
        """See ``calls.Agent``."""
        return f"{self._rng.getrandbits(64):016x}"

    def end(self, call: Caller | Callee) -> None:
        """See ``calls.Agent``."""
        if isinstance(call, Caller):
            self.ended.append(call)
        else:
            self._callees -= 1
        self._dialogs.pop((call.call_id, call.tag), None)

    # --- messages ---

    def _response(self, response: Response, now_us: int) -> None:
        found = self._clients.get((response.via.branch, response.cseq[1]))
        if found is None:
            return
        transaction, call = found
        if transaction.receive(response, now_us):
            call.respond(transaction.request, response, now_us)
            self._watch(call)
        self._watch(transaction)

    def _request(self, request: Request, source: Address, now_us: int) -> None:
        via = request.via
        key = via.branch, via.host, via.port, "INVITE" if request.method == "ACK" else request.method
        known = self._servers.get(key)
        dialog = self._dialogs.get((request.call_id, tag_of(request.get("to"))))
        if request.method == "ACK":
            if known is not None:
                known.acknowledged(now_us)
                self._watch(known)
            if isinstance(dialog, Callee):
                dialog.acknowledged()
            return
        if known is not None:
            known.repeated()
            return
        if len(self._servers) >= MAX_TRANSACTIONS:
            return
        request, peer = self._with_source(request, source)
        transaction = ServerTransaction(request, lambda data: self.send(data, peer), self._reliable)
        self._servers[key] = transaction
        self._serve(request, key, transaction, dialog, peer, now_us)
        self._watch(transaction)

    def _serve(
        self, request: Request, key: _Key, transaction: ServerTransaction, dialog: Caller | Callee | None,
        peer: Address, now_us: int,
    ) -> None:  # fmt: skip
        if request.method == "INVITE" and not tag_of(request.get("to")) and self._callees < MAX_CALLEES:
            self._ring(key, transaction, peer, now_us)
            return
        status, reason, allow = 200, "OK", (("allow", ALLOW),)
        if request.method == "CANCEL":
            ringing = self._ringing.get((*key[:3], "INVITE"))
            if ringing is None:
                status, reason = 481, "Call/Transaction Does Not Exist"
            else:
                ringing.cancelled(now_us)
                self._watch(self._servers[*key[:3], "INVITE"])
        elif request.method == "BYE":
            if dialog is None:
                status, reason = 481, "Call/Transaction Does Not Exist"
            else:
                dialog.hung_up(now_us)
        elif request.method == "INVITE":
            if not tag_of(request.get("to")):
                status, reason = 503, "Service Unavailable"
            elif dialog is None:
                status, reason = 481, "Call/Transaction Does Not Exist"
            else:
                status, reason = 488, "Not Acceptable Here"  # a session stays as it was agreed on
        elif request.method != "OPTIONS":
            status, reason = 405, "Method Not Allowed"
        transaction.respond(response_to(request, status, reason, self.token(), allow), now_us)

    def _ring(self, key: _Key, transaction: ServerTransaction, peer: Address, now_us: int) -> None:
        self._callees += 1
        callee = Callee(self, transaction, self._audio(sdp.KNOWN), peer, now_us)
        if callee.due_us is not None:
            self._dialogs[callee.call_id, callee.tag] = callee
            self._ringing[key] = callee
            self._watch(callee)

    def _with_source(self, request: Request, source: Address) -> tuple[Request, Address]:
        """The request with what its topmost Via gets on arrival, and where its responses go (18.2; RFC 3581)."""
        via = request.via
        added = ""
        text = request.get("via")
        if "rport" in via.parameters:
            text = ";".join(part for part in text.split(";") if part.strip().lower() != "rport")
            added = f";rport={source[1]}"
        if added or via.host.strip("[]") != source[0]:
            added += f";received={source[0]}"
        first = next(index for index, header in enumerate(request.headers) if header[0] == "via")
        headers = (*request.headers[:first], ("via", text + added), *request.headers[first + 1 :])
        back = source if self._reliable or "rport" in via.parameters else (source[0], via.port)
        return replace(request, headers=headers), back

    # --- bookkeeping ---

    def _watch(self, timed: _Timed) -> None:
        """See to its timer, and forget a transaction that is over."""
        due_us = timed.due_us
        if isinstance(timed, Callee):
            self._watch(timed.transaction)  # it may have responded
        if due_us is not None:
            known_us = self._scheduled.get(timed)
            if known_us is None or due_us < known_us:  # a later one is looked at when the known one fires
                self._scheduled[timed] = due_us
                heapq.heappush(self._timers, (due_us, next(self._numbers), timed))
        elif isinstance(timed, ClientTransaction) and timed.state is State.TERMINATED:
            self._clients.pop(self._client_key(timed.request), None)
        elif isinstance(timed, ServerTransaction) and timed.state is State.TERMINATED:
            via = timed.request.via
            key = via.branch, via.host, via.port, timed.request.method
            self._servers.pop(key, None)
            self._ringing.pop(key, None)

    def _client_key(self, request: Request) -> tuple[str, str]:
        return request.via.branch, request.method

    def _audio(self, payload_types: tuple[int, ...]) -> sdp.Audio:
        return sdp.Audio(self._address[0], next(self._ports), payload_types)
