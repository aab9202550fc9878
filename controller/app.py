"""The Ryu application: turns OpenFlow events into calls of the conductor, and its orders into messages.

Handlers only put what happened on a queue; one thread takes it off, so the conductor is alone with its
state and no switch waits for another's rules to be computed.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from controller.conductor import Assignment, Conductor, Output, Report
from controller.framework import (
    DEAD_DISPATCHER,
    MAIN_DISPATCHER,
    Queue,
    QueueEmpty,
    RyuApp,
    handles,
    ofp_event,
    ofproto_v1_3,
    spawn,
)
from controller.orders import Order
from controller.wire import Encoder, Frame
from policies.plan import Plan

Emit = Callable[[str, dict[str, Any]], None]

_of: Any = ofproto_v1_3
_MOST_WAITING = 10_000  # things that happened; then switches' own words wait, on their side of the connection
_MOST_TOLD = 100  # refusals of one connection: who refuses more says nothing new
_MAX_PORT = 0xFFFFFF00  # OFPP_MAX: above are reserved ports


@dataclass
class _Session:
    """One connection of one switch: the orders it has not confirmed yet, by the barrier that will."""

    router: str
    datapath: Any
    next_xid: int = 1
    frames: dict[int, tuple[Order, Frame]] = field(default_factory=dict)
    told: int = 0  # of its refusals

    def subject(self, xid: int) -> object:
        """What the message with this transaction number was about."""
        for _, frame in self.frames.values():
            if frame.first <= xid < frame.barrier:
                return frame.subjects[xid - frame.first]
        return f"message {xid}"


class HealthNetController(RyuApp):  # type: ignore[misc]
    """Programs the switches of a network with a plan, and keeps their paths up to date."""

    OFP_VERSIONS = (_of.OFP_VERSION,)

    def __init__(self, plan: Plan, emit: Emit, on_fault: Callable[[BaseException], None]) -> None:
        super().__init__()
        self.plan = plan
        self.emit = emit
        self.fault = on_fault
        self.router_of = {router.index: router.id for router in plan.network.routers}
        self.encoder = Encoder()
        self.sessions: dict[str, _Session] = {}
        self.inbox: Any = Queue(_MOST_WAITING)

    def start(self) -> None:
        """Starts the event loop and the thread that works the queue."""
        super().start()
        spawn(self._work, self.fault)

    @handles(ofp_event.EventOFPStateChange, MAIN_DISPATCHER, DEAD_DISPATCHER)
    def state_changed(self, ev: Any) -> None:
        """A switch is through its handshake, or gone."""
        joined = ev.state == MAIN_DISPATCHER
        self.inbox.put(lambda: self._joined(ev.datapath) if joined else self._left(ev.datapath))

    @handles(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)
    def port_status(self, ev: Any) -> None:
        """A port came, went, or changed."""
        msg = ev.msg
        up = msg.reason != _of.OFPPR_DELETE and _is_live(msg.desc)
        self.inbox.put(lambda: self._port_changed(msg.datapath, msg.desc.port_no, up))

    @handles(ofp_event.EventOFPBarrierReply, MAIN_DISPATCHER)
    def barrier_reply(self, ev: Any) -> None:
        """A switch has done all that was sent before the barrier."""
        self.inbox.put(lambda: self._confirmed(ev.msg.datapath, ev.msg.xid))

    @handles(ofp_event.EventOFPErrorMsg, MAIN_DISPATCHER)
    def error_message(self, ev: Any) -> None:
        """A switch refused a message."""
        self.inbox.put(lambda: self._refused(ev.msg))

    def _work(self) -> None:
        """Computes all rules, then takes what happened off the queue and wakes the conductor at its deadlines."""
        began = time.monotonic()
        self.conductor = Conductor(self.plan)
        for router in self.plan.network.routers:  # so that no switch has to wait for its messages to be made
            self.encoder.frame(self.conductor.program_of(router.id), 1)
        gc.collect()
        gc.freeze()  # a hundred thousand rules that stay: looking through them again and again takes long
        self.emit("rules-ready", {"seconds": round(time.monotonic() - began, 3)})
        while True:
            deadline = self.conductor.deadline
            timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                happened = self.inbox.get(timeout=timeout)
            except QueueEmpty:
                self._carry_out(self.conductor.tick(time.monotonic()))
            else:
                happened()

    def _session(self, datapath: Any) -> _Session | None:
        """The session of this very connection, if it is still the switch's latest."""
        session = self.sessions.get(self.router_of.get(datapath.id, ""))
        return session if session is not None and session.datapath is datapath else None

    def _joined(self, datapath: Any) -> None:
        router = self.router_of.get(datapath.id)
        if router is None:
            self.emit("error", {"message": f"a switch with unknown datapath id {datapath.id} was turned away"})
            datapath.close()
            return
        self.sessions[router] = _Session(router, datapath)
        datapath.send(self.encoder.reports(packets=False))
        ports = {
            number: port for number, port in tuple(datapath.ports.items()) if number < _MAX_PORT and _has_light(port)
        }
        up = frozenset(number for number, port in ports.items() if _is_live(port))
        self._carry_out(self.conductor.joined(router, up, time.monotonic(), coming=frozenset(ports.keys() - up)))

    def _left(self, datapath: Any) -> None:
        session = self._session(datapath)
        if session is not None:
            del self.sessions[session.router]
            self._carry_out(self.conductor.left(session.router, time.monotonic()))

    def _port_changed(self, datapath: Any, port: int, up: bool) -> None:
        session = self._session(datapath)
        if session is not None:
            self._carry_out(self.conductor.port_changed(session.router, port, up, time.monotonic()))

    def _confirmed(self, datapath: Any, xid: int) -> None:
        session = self._session(datapath)
        if session is not None and xid in session.frames:
            order, _ = session.frames.pop(xid)
            self._carry_out(self.conductor.done(session.router, order, time.monotonic()))

    def _refused(self, msg: Any) -> None:
        session = self._session(msg.datapath)
        if session is not None and session.told < _MOST_TOLD:
            session.told += 1
            reason = f"error type {msg.type} code {getattr(msg, 'code', '?')}"
            subject = str(session.subject(msg.xid))
            self.emit("error", {"message": f"refused: {reason}", "router": session.router, "rule": subject})

    def _carry_out(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Report):
                self.emit(output.event, output.details)
            else:
                self._send(output)

    def _send(self, assignment: Assignment) -> None:
        session = self.sessions.get(assignment.router)
        if session is None:
            return
        frame = self.encoder.frame(assignment.order, session.next_xid)
        session.next_xid = frame.barrier + 1
        session.frames[frame.barrier] = assignment.order, frame
        session.datapath.send(frame.data)


def _has_light(port: Any) -> bool:
    """Whether a port description says that something is at the other end."""
    return not port.config & _of.OFPPC_PORT_DOWN and not port.state & _of.OFPPS_LINK_DOWN


def _is_live(port: Any) -> bool:
    """Whether a port description says that packets pass: with a BFD session, that both ends hear each other. It is
    what fast-failover groups go by, too."""
    return _has_light(port) and bool(port.state & _of.OFPPS_LIVE)
