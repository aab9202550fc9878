"""Executes OpenFlow actions on all packets of a state at once.

Follows OpenFlow 1.3 and, where that leaves things open, Open vSwitch; `concrete.switch` does the same to one packet.
"""

from __future__ import annotations

from typing import Protocol

from helsewan.controller.openflow.entries import (
    CONTROLLER,
    IN_PORT,
    MPLS,
    Action,
    CheckLarger,
    Group,
    Output,
    PopMpls,
    Resubmit,
    SetField,
    Table,
)
from helsewan.verification.concrete.packet import plain
from helsewan.verification.symbolic.header_rewriter import MARKING, HeaderRewriter
from helsewan.verification.symbolic.header_space import Set
from helsewan.verification.symbolic.program import Program
from helsewan.verification.symbolic.states import (
    ALTERED,
    ANSWERED,
    BROKEN,
    CLASS_TC,
    INNER_STACK,
    LASTING,
    LOST,
    MARKED,
    MISMARKED,
    RETAGGED,
    SENT,
    WRONG_TTL,
    Continuation,
    LabelEntry,
    Node,
    NotModelledError,
    Result,
    State,
)
from helsewan.verification.symbolic.tables import is_pipeline_field


class NodeSource(Protocol):
    """What actions need of the symbolic executor: nodes at other tables and routers, and groups."""

    program: Program

    def is_down(self, component: int) -> bool:
        """Whether a component, by its bit, has failed; notes that the result depends on it."""
        ...

    def node(self, router: str, table: Table, state: State) -> Node:
        """The node of packets in ``state`` at ``table``."""
        ...

    def group(self, router: str, id_: int, state: State) -> Result:
        """The result of group ``id_`` for packets in ``state``."""
        ...


class ActionExecutor(HeaderRewriter):
    """Executes one action list on all packets in one state."""

    def __init__(self, executor: NodeSource, router: str, table: Table, state: State) -> None:
        super().__init__(executor.program.space, table, state)
        self.executor, self.program, self.router = executor, executor.program, router
        self.successors: list[Node] = []
        self.has_forwarded = False  # an earlier action of the list has sent the packets on

    @property
    def state(self) -> State:
        """The state after the actions executed so far."""
        return State(tuple(sorted(self.fields.items())), tuple(self.stack), self.stripped)

    def run(self, actions: tuple[Action, ...], goto: Table | None, metadata: tuple[int, int] | None) -> None:
        """Executes ``actions`` in order, writes ``metadata`` (value, mask), and continues at table ``goto``."""
        for index, action in enumerate(actions):
            match action:
                case Output(port) if self.stack[-1:] == [INNER_STACK] and self.is_link_port(port):
                    self.suspend(actions[index:], goto, metadata)
                    return
                case Output(port):
                    self.output(port)
                case Group(id_):
                    self.forward_once()
                    self.add(self.executor.group(self.router, id_, self.state), self.with_class_tc())
                case Resubmit(table):
                    self.forward_once()
                    if table is Table.VPN and self.ttl == 1:
                        self.note_ttl(0)  # both ends of a label's path are this router, which then counts as two
                    self.goto_table(table)
                case PopMpls(eth_type):
                    if self.stack and self.stack[-1] is INNER_STACK:
                        self.suspend(actions[index:], goto, metadata)
                        return
                    if not self.pop(eth_type, actions[index + 1 :], goto, metadata):
                        return
                case SetField(name, _) if plain(name) in ("mpls_label", "mpls_tc") and self.stack[-1:] == [INNER_STACK]:
                    self.suspend(actions[index:], goto, metadata)
                    return
                case CheckLarger(frame_bytes, register):
                    self.split(
                        self.space.above("frame_bytes", frame_bytes), register, actions[index + 1 :], goto, metadata
                    )
                    return
                case _:
                    self.rewrite(action)
        if metadata is not None:
            value, mask = metadata
            before = self.fields.get("metadata", 0)
            self.fields["metadata"] = before & ~mask | value & mask  # type: ignore[operator]
        if goto is not None:
            self.forward_once()
            self.goto_table(goto)

    def is_link_port(self, port: int) -> bool:
        """Whether an output to ``port``, which may be IN_PORT, leads to another router."""
        return (self.fields.get("in_port") if port == IN_PORT else port) in self.program.links[self.router]

    def forward_once(self) -> None:
        """Notes that packets are sent on. Raises NotModelledError the second time: copies are not modelled."""
        if self.has_forwarded:
            raise NotModelledError("a list of actions sends packets on twice")
        self.has_forwarded = True

    def split(self, larger: Set, register: str, *rest: object) -> None:
        """Executes the remaining actions, ``rest``, separately for ``larger`` packets and for the others."""
        for is_larger, subset in ((1, larger), (0, ~larger)):
            execution = ActionExecutor(self.executor, self.router, self.table, self.state)
            execution.fields[plain(register)] = is_larger
            execution.limit, execution.has_forwarded = self.limit, self.has_forwarded
            execution.run(*rest)  # type: ignore[arg-type]
            self.successors += execution.successors
            self.add(execution.result, subset)

    def suspend(self, actions: tuple[Action, ...], goto: Table | None, metadata: tuple[int, int] | None) -> None:
        """Suspends the remaining actions until the labels below the top one are known."""
        known = tuple(each for each in self.stack if each is not INNER_STACK)
        fields = tuple(sorted(each for each in self.fields.items() if each[0] != "in_port"))
        if (in_port := self.fields.get("in_port")) is not None:
            live = self.program.liveness[self.router].before_effect((actions, goto, metadata))
            if live.everything or live.any_port or in_port in live.ports:  # else paths that differ in it end alike
                fields = tuple(sorted((*fields, ("in_port", in_port))))
        continuation = Continuation(self.router, self.table, actions, goto, metadata, fields, known)
        self.result.continuations.append((self.limit, continuation))

    def goto_table(self, table: Table) -> None:
        """Continues at a table."""
        if self.stack and self.stack[-1] is INNER_STACK:
            self.suspend((), table, None)
            return
        if self.table > MARKING >= table and not self.stack:
            raise NotModelledError("packets are classified twice")
        limit = self.limit if self.table > MARKING or table <= MARKING else self.with_mark()
        node = self.executor.node(self.router, table, self.state)
        self.successors.append(node)
        self.add(node.result, limit)

    def with_mark(self) -> Set:
        """The packets, with their DSCP fixed where they leave the tables that mark them."""
        if self.table > MARKING or self.stack:
            return self.limit
        if MARKED in self.fields:
            raise NotModelledError("packets are classified twice")
        dscp = self.fields.get("ip_dscp")
        if dscp is None:
            return self.limit & self.space.kept_mark
        return self.limit & self.space.marked(dscp) if isinstance(dscp, int) else self.limit

    def add(self, result: Result, limit: Set) -> None:
        """Adds the result of a later table for the packets of ``limit``. Continuations are resumed with the known
        stack."""
        self.result.depends_on |= result.depends_on
        self.result.out |= limit & result.out if limit != self.space.all else result.out
        for subset, continuation in result.continuations:
            if self.stack[:1] == [INNER_STACK]:
                self.result.continuations.append((limit & subset, continuation))
                continue
            self.resume(limit & subset, continuation, self.stack)

    def resume(self, subset: Set, continuation: Continuation, inner: list[LabelEntry]) -> None:
        """Executes a continuation for ``subset``, on top of the label stack ``inner``."""
        overwritten = tuple((name, value) for name, value in self.fields.items() if not is_pipeline_field(name))
        fields = tuple(sorted((dict(overwritten) | dict(continuation.fields)).items()))
        state = State(fields, (*inner, *continuation.stack), self.stripped)
        execution = ActionExecutor(self.executor, continuation.router, max(continuation.table, Table.CORE), state)
        execution.run(continuation.actions, continuation.goto, continuation.metadata)
        self.add_with_continuations(execution.result, subset)

    def add_with_continuations(self, result: Result, limit: Set) -> None:
        """Adds a result for the packets of ``limit``, with its continuations as they are."""
        self.result.depends_on |= result.depends_on
        self.result.out |= limit & result.out if limit != self.space.all else result.out
        self.result.continuations += [(limit & subset, continuation) for subset, continuation in result.continuations]

    def end(self, where: int) -> None:
        """All packets end at ``where``: a site, by number, or one of `states.FAULTS`."""
        self.result.out |= self.with_mark() & self.space.out(where)

    def output(self, port: int) -> None:
        """Executes an output action."""
        in_port = self.fields.get("in_port")
        if port == CONTROLLER:
            return
        links = self.program.links[self.router]
        if port == IN_PORT:
            self.forward_once()
            if in_port not in links:
                self.output_to_ingress(in_port)
                return
            port = in_port
        elif port == in_port:
            return
        else:
            self.forward_once()
        bit = self.program.port_bit(self.router, port)
        self.result.depends_on |= bit
        if self.executor.is_down(bit):
            return
        if port in links:
            self.output_to_link(links[port])
        else:
            self.output_to_site(port)

    def output_to_ingress(self, port: object) -> None:
        """Output to the site port that packets came in by: an answer, if it goes to the access link that they came
        from."""
        if RETAGGED not in self.fields:
            self.end(ANSWERED)
        elif (site := self.site_behind(port)) is not None:
            self.end(self.program.index[site])
        else:
            self.end(LOST)

    def site_behind(self, port: object) -> str | None:
        """The site behind a port, for packets with the current VLAN tag."""
        return self.program.sites.get((self.router, port, self.fields.get("vlan_vid")))

    def output_to_site(self, port: int) -> None:
        """Output to a site port. Packets are delivered if unlabelled, unaltered, and addressed to the site's MAC
        address."""
        site, is_unchanged = self.site_behind(port), not self.stack and ALTERED not in self.fields
        is_delivered = site is not None and is_unchanged and self.fields.get("eth_dst") == self.program.macs[site]
        if is_delivered and self.ttl != 1:
            self.end(WRONG_TTL)
            return
        self.end(self.program.index[site] if site is not None and is_delivered else LOST)

    def output_to_link(self, link: str) -> None:
        """Output to a link: continues at the router at its other end, unless this router did not decrement the TTL."""
        if self.ttl != 1:
            self.end(WRONG_TTL)
            return
        far = self.program.network.link[link].other(self.router)
        port = self.program.network.ports[far][link]
        limit = self.with_class_tc()
        overwritten = {
            name: value for name, value in self.fields.items() if not is_pipeline_field(name) and name[:4] != "eth_"
        }
        tag = {"vlan_vid": self.fields["vlan_vid"]} if "vlan_vid" in self.fields else {}
        if self.stack:
            overwritten = {name: value for name, value in overwritten.items() if name in LASTING}
        else:
            overwritten[MARKED] = 1
        fields = {**overwritten, **tag, "in_port": port}
        stack: tuple[LabelEntry, ...] = ()
        inner = self.stack[:-1]
        if self.stack:
            top = self.stack[-1][0], CLASS_TC
            stack = (INNER_STACK, top) if inner else (top,)
        node = self.executor.node(far, Table.ADMIT, State(tuple(sorted(fields.items())), stack, self.stripped))
        self.result.depends_on |= node.result.depends_on
        self.result.out |= limit & node.result.out if limit != self.space.all else node.result.out
        for subset, continuation in node.result.continuations:
            if inner == [INNER_STACK]:
                self.result.continuations.append((limit & subset, continuation))
            else:
                self.resume(limit & subset, continuation, inner)

    def with_class_tc(self) -> Set:
        """The packets whose labels have the MPLS traffic class of their class; the others end as mismarked."""
        limit = self.with_mark()
        for entry in self.stack:
            if entry is INNER_STACK or entry[1] == CLASS_TC or (isinstance(entry[0], tuple) and entry[0][0] == SENT):
                continue
            correct = self.space.none
            if isinstance(entry[1], int):
                correct = self.space.equal("mark", entry[1], None, 3)
            self.result.out |= limit & ~correct & self.space.out(MISMARKED)
            limit &= correct
        return limit

    def pop(self, eth_type: int, *rest: object) -> bool:
        """Pops the top label. Returns False if it was the last one: then the remaining actions, ``rest``, are done
        here, separately for packets of the given EtherType and for others, since the others' headers cannot be read."""
        if not self.stack:
            return True
        label, _ = self.stack.pop()
        self.note_ttl(BROKEN)  # until that of the popped label is copied to it
        self.stripped |= isinstance(label, tuple) and not self.stack
        if self.stack:
            if eth_type != MPLS:
                raise NotModelledError("labels remain below one that is popped as the last")
            return True
        readable = self.space.match("eth_type", eth_type, inner=self.stripped)
        opaque = ActionExecutor(self.executor, self.router, self.table, self.state)
        opaque.fields["eth_type"] = eth_type
        opaque.run(*rest)  # type: ignore[arg-type]
        self.add_with_continuations(opaque.result, self.limit & ~readable)
        visible = ActionExecutor(self.executor, self.router, self.table, self.state)
        visible.run(*rest)  # type: ignore[arg-type]
        self.add_with_continuations(visible.result, self.limit & readable)
        self.successors += [*opaque.successors, *visible.successors]
        return False
