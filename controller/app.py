"""The Ryu application: turns OpenFlow events into calls of the reconciler, and its commands into messages.

Handlers only put what happened on a queue; one thread takes it off, so the reconciler is alone with its
state and no switch waits for another's rules to be computed.
"""

from __future__ import annotations

import gc
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from helsewan.controller.control.session import Session
from helsewan.controller.framework import (
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
from helsewan.controller.openflow.decoder import Decoder
from helsewan.controller.openflow.encoder import Encoder
from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.openflow.errors import error_text, is_not_master
from helsewan.controller.update.commands import Event, Output, Store, Withdraw, updates
from helsewan.controller.update.policy_change import Origin
from helsewan.controller.update.reconciler import Reconciler
from helsewan.controller.update.rule_diff import difference
from helsewan.policies.plan import Plan

Emit = Callable[[str, dict[str, Any]], None]
Keep = Callable[[Plan], None]
Superseded = Callable[[], None]

_of: Any = ofproto_v1_3
_MOST_WAITING = 10_000  # things that happened; then switches' own words wait, on their side of the connection
_MOST_TOLD = 100  # refusals of one connection: who refuses more says nothing new
_MAX_PORT = 0xFFFFFF00  # OFPP_MAX: above are reserved ports


@dataclass(frozen=True)
class _Connection:
    """A switch's latest connection, and what is under way on it."""

    datapath: Any
    session: Session


class HealthNetController(RyuApp):  # type: ignore[misc]
    """Programs the switches of a network with a plan, and keeps their paths up to date, once it leads. Until then it
    is on standby: rules computed, connections open, no commands sent."""

    OFP_VERSIONS = (_of.OFP_VERSION,)

    def __init__(
        self,
        plan: Plan,
        emit: Emit,
        store: Keep,
        withdraw: Callable[[frozenset[str]], None],
        superseded: Superseded,
        on_fault: Callable[[BaseException], None],
    ) -> None:
        """``superseded`` is called when a switch says that it obeys another."""
        super().__init__()
        self.generation: int | None = None  # of our leading, once we lead
        self.plan = self.kept = plan
        self.emit = emit
        self.store, self.store_withdrawn, self.superseded = store, withdraw, superseded
        self.fault = on_fault
        self.router_of = {router.index: router.id for router in plan.network.routers}
        self.encoder, self.decoder = Encoder(), Decoder()
        self.connections: dict[str, _Connection] = {}
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

    @handles(ofp_event.EventOFPRoleReply, MAIN_DISPATCHER)
    def role_told(self, ev: Any) -> None:
        """A switch has given us a role."""
        self.inbox.put(lambda: self._given_role(ev.msg))

    @handles(ofp_event.EventOFPFlowStatsReply, MAIN_DISPATCHER)
    def flows_told(self, ev: Any) -> None:
        """A part of a switch's flows."""
        self.inbox.put(lambda: self._told(ev.msg))

    @handles(ofp_event.EventOFPGroupDescStatsReply, MAIN_DISPATCHER)
    def groups_told(self, ev: Any) -> None:
        """A part of a switch's groups."""
        self.inbox.put(lambda: self._told(ev.msg))

    @handles(ofp_event.EventOFPMeterConfigStatsReply, MAIN_DISPATCHER)
    def meters_told(self, ev: Any) -> None:
        """A part of a switch's meters."""
        self.inbox.put(lambda: self._told(ev.msg))

    @handles(ofp_event.EventOFPAggregateStatsReply, MAIN_DISPATCHER)
    def flows_counted(self, ev: Any) -> None:
        """How many flows a switch has."""
        self.inbox.put(lambda: self._counted(ev.msg))

    def change_plan(self, plan: Plan, origin: Origin | None = None) -> None:
        """Another policy for the same network; events tell what becomes of it. From any thread."""
        self.inbox.put(lambda: self._change_plan(plan, origin))

    def withdraw(self, places: frozenset[str], origin: Origin) -> None:
        """Takes these links and PoPs out of service, and no others. In the thread that works the queue."""
        self._carry_out(self.reconciler.withdraw(places, time.monotonic(), origin))

    def poll(self, router: str, cookie: int, mask: int, answer: Callable[[bytes], None]) -> bool:
        """Asks a switch for the counters of its flows with such cookies; whether it can be asked. ``answer`` gets the
        whole, unless the connection ends before. In the thread that works the queue."""
        connection = self.connections.get(router)
        if connection is not None:
            connection.datapath.send(connection.session.poll(cookie, mask, answer))
        return connection is not None

    def lead(self, plan: Plan, withdrawn: frozenset[str], generation: int) -> None:
        """Gives orders from now on, by this plan, with these places out of service, and in this generation of leaders.
        From any thread."""
        self.inbox.put(lambda: self._lead(plan, withdrawn, generation))

    def _change_plan(self, plan: Plan, origin: Origin | None) -> None:
        if self.generation is not None:
            self._carry_out(self.reconciler.change_plan(plan, time.monotonic(), origin))
        else:
            self._prepare(plan)

    def _prepare(self, plan: Plan) -> None:
        """Computes all rules of a plan, if they are not those there are."""
        if plan == self.plan:
            return
        self.plan = self.kept = plan
        self._compute()

    def _lead(self, plan: Plan, withdrawn: frozenset[str], generation: int) -> None:
        self._prepare(plan)
        self.reconciler.live.withdrawn = withdrawn
        self.generation = generation
        self.emit("leading", {"generation": generation, "switches": len(self.connections)})
        for router, connection in tuple(self.connections.items()):
            self._take_on(router, connection.datapath)

    def _compute(self) -> None:
        """All rules, and the messages they take."""
        began = time.monotonic()
        gc.disable()  # a hundred thousand rules that stay: looking through them again and again takes a third more
        self.reconciler = Reconciler(self.plan)
        for router in self.plan.network.routers:  # so that no switch has to wait for its messages to be made
            for order in updates(difference(RuleSet(), self.reconciler.target(router.id))):
                self.encoder.encode(order, 1)
        gc.collect()
        gc.freeze()
        gc.enable()
        self.emit("rules-ready", {"seconds": round(time.monotonic() - began, 3)})

    def _work(self) -> None:
        """Computes all rules, then takes what happened off the queue and wakes the reconciler at its deadlines."""
        self._compute()
        while True:
            deadline = self.reconciler.deadline
            timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                happened = self.inbox.get(timeout=timeout)
            except QueueEmpty:
                self._carry_out(self.reconciler.tick(time.monotonic()))
            else:
                happened()

    def _session(self, datapath: Any) -> Session | None:
        """The session of this very connection, if it is still the switch's latest, and we lead."""
        connection = self.connections.get(self.router_of.get(datapath.id, ""))
        if connection is None or connection.datapath is not datapath or self.generation is None:
            return None
        return connection.session

    def _joined(self, datapath: Any) -> None:
        router = self.router_of.get(datapath.id)
        if router is None:
            self.emit("error", {"message": f"a switch with unknown datapath id {datapath.id} was turned away"})
            datapath.close()
            return
        self.connections[router] = _Connection(datapath, Session(router, self.encoder, self.decoder))
        datapath.send(self.encoder.set_async(packets=False))
        if self.generation is None:
            self._follow(datapath)
        else:
            self._take_on(router, datapath)

    def _follow(self, datapath: Any) -> None:
        """Asks a switch for its generation of masters, in which to be its slave."""
        datapath.send(self.encoder.role_request(_of.OFPCR_ROLE_NOCHANGE, 0))

    def _take_on(self, router: str, datapath: Any) -> None:
        """Becomes a switch's master. If that is refused, its word comes before its answer to any order."""
        datapath.send(self.encoder.role_request(_of.OFPCR_ROLE_MASTER, self.generation or 0))
        ports = {
            number: port for number, port in tuple(datapath.ports.items()) if number < _MAX_PORT and _has_carrier(port)
        }
        up = frozenset(number for number, port in ports.items() if _is_live(port))
        self._carry_out(self.reconciler.joined(router, up, time.monotonic(), coming=frozenset(ports.keys() - up)))

    def _given_role(self, msg: Any) -> None:
        if self.generation is None and msg.role == _of.OFPCR_ROLE_EQUAL:
            msg.datapath.send(self.encoder.role_request(_of.OFPCR_ROLE_SLAVE, msg.generation_id))

    def _left(self, datapath: Any) -> None:
        router = self.router_of.get(datapath.id, "")
        if router in self.connections and self.connections[router].datapath is datapath:
            del self.connections[router]
            if self.generation is not None:
                self._carry_out(self.reconciler.left(router, time.monotonic()))

    def _port_changed(self, datapath: Any, port: int, up: bool) -> None:
        session = self._session(datapath)
        if session is not None:
            self._carry_out(self.reconciler.port_changed(session.router, port, up, time.monotonic()))

    def _confirmed(self, datapath: Any, xid: int) -> None:
        session = self._session(datapath)
        confirmed = session.confirmed(xid) if session is not None else None
        if session is not None and confirmed is not None:
            order, refusal = confirmed
            self._carry_out(self.reconciler.done(session.router, order, time.monotonic(), refusal))

    def _refused(self, msg: Any) -> None:
        kind, code = msg.type, getattr(msg, "code", -1)
        if is_not_master(kind, code):
            self._follow(msg.datapath) if self.generation is None else self.superseded()
            return
        session = self._session(msg.datapath)
        reason = error_text(kind, code)
        if session is None or session.refused(msg.xid, reason) or session.strays >= _MOST_TOLD:
            return
        session.strays += 1
        details = {"router": session.router, "rule": f"message {msg.xid}"}
        self.emit("error", {"message": f"refused: {reason}", **details})

    def _told(self, msg: Any) -> None:
        session = self._session(msg.datapath)
        if session is None:
            return
        body = b"".join(part.data for part in msg.body)
        try:
            told = session.told(msg.xid, body, more=bool(msg.flags & _of.OFPMPF_REPLY_MORE))
        except (ValueError, IndexError, struct.error) as error:
            self.emit(
                "error", {"message": f"what the switch says it holds is unreadable: {error}", "router": session.router}
            )
            msg.datapath.close()
            return
        if isinstance(told, bytes):
            msg.datapath.send(told)
        elif told is not None:
            order, held = told
            self._carry_out(self.reconciler.holds(session.router, held, order, time.monotonic()))

    def _counted(self, msg: Any) -> None:
        session = self._session(msg.datapath)
        order = session.counting.pop(msg.xid, None) if session is not None else None
        if session is not None and order is not None:
            count = msg.body.flow_count
            self._carry_out(self.reconciler.counts(session.router, count, order, time.monotonic()))

    def _carry_out(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Event):
                self.emit(output.event, output.details)
            elif isinstance(output, Store):
                self.kept = output.plan
                self.store(output.plan)
            elif isinstance(output, Withdraw):
                self.store_withdrawn(output.places)
            elif output.router in self.connections:
                connection = self.connections[output.router]
                connection.datapath.send(connection.session.data(output.order))


def _has_carrier(port: Any) -> bool:
    """Whether a port description says that something is at the other end."""
    return not port.config & _of.OFPPC_PORT_DOWN and not port.state & _of.OFPPS_LINK_DOWN


def _is_live(port: Any) -> bool:
    """Whether a port description says that packets pass: with a BFD session, that both ends hear each other. It is
    what fast-failover groups go by, too."""
    return _has_carrier(port) and bool(port.state & _of.OFPPS_LIVE)
