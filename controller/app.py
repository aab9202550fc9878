"""The Ryu application: turns OpenFlow events into calls of the reconciler, and its commands into messages.

Handlers only queue a call; one thread takes calls off the queue, so that only this thread uses the reconciler's state,
and no connection waits while another switch's rules are computed.
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
StorePlan = Callable[[Plan], None]
Superseded = Callable[[], None]

_of: Any = ofproto_v1_3
_MAX_QUEUED = 10_000  # calls; beyond, connections are not read, and TCP holds their switches back
_MAX_ERRORS_REPORTED = 100  # unmatched errors per connection
_MAX_PORT = 0xFFFFFF00  # OFPP_MAX: above are reserved ports


@dataclass(frozen=True)
class _Connection:
    """A switch's latest connection, and the commands pending on it."""

    datapath: Any
    session: Session


class HealthNetController(RyuApp):  # type: ignore[misc]
    """Programs the switches of a network with a plan, and keeps their paths up to date, once it leads. Until then it
    is on standby: rules are computed, connections are open, no commands are sent."""

    OFP_VERSIONS = (_of.OFP_VERSION,)

    def __init__(
        self,
        plan: Plan,
        emit: Emit,
        store: StorePlan,
        withdraw: Callable[[frozenset[str]], None],
        superseded: Superseded,
        on_fault: Callable[[BaseException], None],
    ) -> None:
        """``emit`` reports events, ``store`` and ``withdraw`` store the plan and the places out of service,
        ``superseded`` is called when a switch rejects this controller's generation as stale, ``on_fault`` with any
        exception of a thread or handler."""
        super().__init__()
        self.generation: int | None = None  # generation id of this leader; None on standby
        self.plan = self.stored_plan = plan
        self.emit = emit
        self.store, self.store_withdrawn, self.superseded = store, withdraw, superseded
        self.fault = on_fault
        self.router_of = {router.index: router.id for router in plan.network.routers}
        self.encoder, self.decoder = Encoder(), Decoder()
        self.connections: dict[str, _Connection] = {}
        self.inbox: Any = Queue(_MAX_QUEUED)

    def start(self) -> None:
        """Starts the event loop and the thread that works the queue."""
        super().start()
        spawn(self._work, self.fault)

    @handles(ofp_event.EventOFPStateChange, MAIN_DISPATCHER, DEAD_DISPATCHER)
    def state_changed(self, ev: Any) -> None:
        """A switch completed its handshake, or disconnected."""
        joined = ev.state == MAIN_DISPATCHER
        self.inbox.put(lambda: self._joined(ev.datapath) if joined else self._left(ev.datapath))

    @handles(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)
    def port_status(self, ev: Any) -> None:
        """A port was added, deleted, or changed."""
        msg = ev.msg
        up = msg.reason != _of.OFPPR_DELETE and _is_live(msg.desc)
        self.inbox.put(lambda: self._port_changed(msg.datapath, msg.desc.port_no, up))

    @handles(ofp_event.EventOFPBarrierReply, MAIN_DISPATCHER)
    def barrier_reply(self, ev: Any) -> None:
        """A switch has processed all messages before the barrier."""
        self.inbox.put(lambda: self._confirmed(ev.msg.datapath, ev.msg.xid))

    @handles(ofp_event.EventOFPErrorMsg, MAIN_DISPATCHER)
    def error_message(self, ev: Any) -> None:
        """A switch rejected a message."""
        self.inbox.put(lambda: self._refused(ev.msg))

    @handles(ofp_event.EventOFPRoleReply, MAIN_DISPATCHER)
    def role_reply(self, ev: Any) -> None:
        """A switch reported this controller's role and its generation id."""
        self.inbox.put(lambda: self._role_reported(ev.msg))

    @handles(ofp_event.EventOFPFlowStatsReply, MAIN_DISPATCHER)
    def flow_stats_reply(self, ev: Any) -> None:
        """A part of a switch's flows."""
        self.inbox.put(lambda: self._entries_reported(ev.msg))

    @handles(ofp_event.EventOFPGroupDescStatsReply, MAIN_DISPATCHER)
    def group_desc_reply(self, ev: Any) -> None:
        """A part of a switch's groups."""
        self.inbox.put(lambda: self._entries_reported(ev.msg))

    @handles(ofp_event.EventOFPMeterConfigStatsReply, MAIN_DISPATCHER)
    def meter_config_reply(self, ev: Any) -> None:
        """A part of a switch's meters."""
        self.inbox.put(lambda: self._entries_reported(ev.msg))

    @handles(ofp_event.EventOFPAggregateStatsReply, MAIN_DISPATCHER)
    def aggregate_stats_reply(self, ev: Any) -> None:
        """The number of a switch's flows."""
        self.inbox.put(lambda: self._flows_counted(ev.msg))

    def change_plan(self, plan: Plan, origin: Origin | None = None) -> None:
        """Requests another policy for the same network; events report the outcome. From any thread."""
        self.inbox.put(lambda: self._change_plan(plan, origin))

    def withdraw(self, places: frozenset[str], origin: Origin) -> None:
        """Takes these links and PoPs out of service, and puts all others back. Call in the queue's thread."""
        self._carry_out(self.reconciler.withdraw(places, time.monotonic(), origin))

    def poll(self, router: str, cookie: int, mask: int, answer: Callable[[bytes], None]) -> bool:
        """Requests the counters of a switch's flows whose cookies are ``cookie`` under ``mask``; returns whether it is
        connected. ``answer`` is called with the whole reply, unless the connection ends before. Call in the queue's
        thread."""
        connection = self.connections.get(router)
        if connection is not None:
            connection.datapath.send(connection.session.poll(cookie, mask, answer))
        return connection is not None

    def lead(self, plan: Plan, withdrawn: frozenset[str], generation: int) -> None:
        """Sends commands from now on: by this plan, with these links and PoPs out of service, and as the leader with
        this generation id. From any thread."""
        self.inbox.put(lambda: self._lead(plan, withdrawn, generation))

    def _change_plan(self, plan: Plan, origin: Origin | None) -> None:
        if self.generation is not None:
            self._carry_out(self.reconciler.change_plan(plan, time.monotonic(), origin))
        else:
            self._prepare(plan)

    def _prepare(self, plan: Plan) -> None:
        """Computes all rules of a plan, unless they are computed already."""
        if plan == self.plan:
            return
        self.plan = self.stored_plan = plan
        self._compute()

    def _lead(self, plan: Plan, withdrawn: frozenset[str], generation: int) -> None:
        self._prepare(plan)
        self.reconciler.live.withdrawn = withdrawn
        self.generation = generation
        self.emit("leading", {"generation": generation, "switches": len(self.connections)})
        for router, connection in tuple(self.connections.items()):
            self._become_master(router, connection.datapath)

    def _compute(self) -> None:
        """Computes all rules, and encodes their messages."""
        began = time.monotonic()
        gc.disable()  # repeated collections over a hundred thousand long-lived rules take a third more time
        self.reconciler = Reconciler(self.plan)
        for router in self.plan.network.routers:  # fills the encoder's cache, so that no switch waits for encoding
            for command in updates(difference(RuleSet(), self.reconciler.target(router.id))):
                self.encoder.encode(command, 1)
        gc.collect()
        gc.freeze()
        gc.enable()
        self.emit("rules-ready", {"seconds": round(time.monotonic() - began, 3)})

    def _work(self) -> None:
        """Computes all rules, then makes the queued calls and wakes the reconciler at its deadlines. Does not
        return."""
        self._compute()
        while True:
            deadline = self.reconciler.deadline
            timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                call = self.inbox.get(timeout=timeout)
            except QueueEmpty:
                self._carry_out(self.reconciler.tick(time.monotonic()))
            else:
                call()

    def _session(self, datapath: Any) -> Session | None:
        """The session of a connection; None where it is not the switch's latest, or this controller does not lead."""
        connection = self.connections.get(self.router_of.get(datapath.id, ""))
        if connection is None or connection.datapath is not datapath or self.generation is None:
            return None
        return connection.session

    def _joined(self, datapath: Any) -> None:
        router = self.router_of.get(datapath.id)
        if router is None:
            self.emit("error", {"message": f"a switch with unknown datapath id {datapath.id} was rejected"})
            datapath.close()
            return
        self.connections[router] = _Connection(datapath, Session(router, self.encoder, self.decoder))
        datapath.send(self.encoder.set_async(packets=False))
        if self.generation is None:
            self._request_generation(datapath)
        else:
            self._become_master(router, datapath)

    def _request_generation(self, datapath: Any) -> None:
        """Requests a switch's generation id, with which to become its slave (OpenFlow 1.3.5, 6.3.6)."""
        datapath.send(self.encoder.role_request(_of.OFPCR_ROLE_NOCHANGE, 0))

    def _become_master(self, router: str, datapath: Any) -> None:
        """Requests the master role and joins the switch. Where the role is refused, that error arrives before the reply
        to any command."""
        datapath.send(self.encoder.role_request(_of.OFPCR_ROLE_MASTER, self.generation or 0))
        ports = {
            number: port for number, port in tuple(datapath.ports.items()) if number < _MAX_PORT and _has_carrier(port)
        }
        up = frozenset(number for number, port in ports.items() if _is_live(port))
        awaiting_bfd = frozenset(ports.keys() - up)
        self._carry_out(self.reconciler.joined(router, up, time.monotonic(), awaiting_bfd))

    def _role_reported(self, msg: Any) -> None:
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
            command, refusal = confirmed
            self._carry_out(self.reconciler.done(session.router, command, time.monotonic(), refusal))

    def _refused(self, msg: Any) -> None:
        kind, code = msg.type, getattr(msg, "code", -1)
        if is_not_master(kind, code):
            self._request_generation(msg.datapath) if self.generation is None else self.superseded()
            return
        session = self._session(msg.datapath)
        reason = error_text(kind, code)
        if session is None or session.refused(msg.xid, reason) or session.unmatched_errors >= _MAX_ERRORS_REPORTED:
            return
        session.unmatched_errors += 1
        details = {"router": session.router, "rule": f"message {msg.xid}"}
        self.emit("error", {"message": f"refused: {reason}", **details})

    def _entries_reported(self, msg: Any) -> None:
        session = self._session(msg.datapath)
        if session is None:
            return
        body = b"".join(part.data for part in msg.body)
        try:
            next_step = session.entries_reported(msg.xid, body, more=bool(msg.flags & _of.OFPMPF_REPLY_MORE))
        except (ValueError, IndexError, struct.error) as error:
            message = f"the switch's statistics reply cannot be decoded: {error}"
            self.emit("error", {"message": message, "router": session.router})
            msg.datapath.close()
            return
        if isinstance(next_step, bytes):
            msg.datapath.send(next_step)
        elif next_step is not None:
            command, held = next_step
            self._carry_out(self.reconciler.holds(session.router, held, command, time.monotonic()))

    def _flows_counted(self, msg: Any) -> None:
        session = self._session(msg.datapath)
        command = session.counting.pop(msg.xid, None) if session is not None else None
        if session is not None and command is not None:
            count = msg.body.flow_count
            self._carry_out(self.reconciler.counts(session.router, count, command, time.monotonic()))

    def _carry_out(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Event):
                self.emit(output.event, output.details)
            elif isinstance(output, Store):
                self.stored_plan = output.plan
                self.store(output.plan)
            elif isinstance(output, Withdraw):
                self.store_withdrawn(output.places)
            elif output.router in self.connections:
                connection = self.connections[output.router]
                connection.datapath.send(connection.session.encode(output.command))


def _has_carrier(port: Any) -> bool:
    """Whether a port description reports the port as enabled and its link as up."""
    return not port.config & _of.OFPPC_PORT_DOWN and not port.state & _of.OFPPS_LINK_DOWN


def _is_live(port: Any) -> bool:
    """Whether a port description reports the port as live: with a BFD session, that the session is up. Fast-failover
    groups use the same state (OFPPS_LIVE)."""
    return _has_carrier(port) and bool(port.state & _of.OFPPS_LIVE)
