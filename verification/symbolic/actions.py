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
    BENEATH,
    CLASS_TC,
    LASTING,
    LOST,
    MARKED,
    MISMARKED,
    RETAGGED,
    SENT,
    LabelEntry,
    Node,
    NotModelledError,
    Result,
    Resume,
    State,
)
from helsewan.verification.symbolic.tables import is_noted


class NodeSource(Protocol):
    """Where actions find what becomes of packets further on: the symbolic executor."""

    program: Program
    down: int

    def node(self, router: str, table: Table, state: State) -> Node:
        """The node of packets in a state that come to a table."""
        ...

    def group(self, router: str, id_: int, state: State) -> Result:
        """What becomes of packets that a group is handed."""
        ...


class ActionExecutor(HeaderRewriter):
    """One list of actions, done to packets in one state."""

    def __init__(self, executor: NodeSource, router: str, table: Table, state: State) -> None:
        super().__init__(executor.program.space, table, state)
        self.executor, self.program, self.router = executor, executor.program, router
        self.looked_up: list[Node] = []
        self.has_sent = False  # packets on, by one of the actions

    @property
    def state(self) -> State:
        """As it is now."""
        return State(tuple(sorted(self.notes.items())), tuple(self.stack), self.stripped)

    def run(self, actions: tuple[Action, ...], goto: Table | None, written: tuple[int, int] | None) -> None:
        """Does actions in turn, writes metadata and goes on to a table."""
        for place, action in enumerate(actions):
            match action:
                case Output(port) if self.stack[-1:] == [BENEATH] and self.is_fibre(port):
                    self.stop_here(actions[place:], goto, written)
                    return
                case Output(port):
                    self.output(port)
                case Group(id_):
                    self.once()
                    self.add(self.executor.group(self.router, id_, self.state), self.in_class())
                case Resubmit(table):
                    self.once()
                    self.look_up(table)
                case PopMpls(kind):
                    if self.stack and self.stack[-1] is BENEATH:
                        self.stop_here(actions[place:], goto, written)
                        return
                    if not self.pop(kind, actions[place + 1 :], goto, written):
                        return
                case SetField(name, _) if plain(name) in ("mpls_label", "mpls_tc") and self.stack[-1:] == [BENEATH]:
                    self.stop_here(actions[place:], goto, written)
                    return
                case CheckLarger(frame_bytes, register):
                    self.split(
                        self.space.above("frame_bytes", frame_bytes), register, actions[place + 1 :], goto, written
                    )
                    return
                case _:
                    self.rewrite(action)
        if written is not None:
            value, mask = written
            before = self.notes.get("metadata", 0)
            self.notes["metadata"] = before & ~mask | value & mask  # type: ignore[operator]
        if goto is not None:
            self.once()
            self.look_up(goto)

    def is_fibre(self, port: int) -> bool:
        """Whether a port, or the one that packets came in by, leads to another router."""
        return (self.notes.get("in_port") if port == IN_PORT else port) in self.program.links[self.router]

    def once(self) -> None:
        """Sends packets on, which nothing does twice."""
        if self.has_sent:
            raise NotModelledError("packets are sent on twice")
        self.has_sent = True

    def split(self, larger: Set, register: str, *rest: object) -> None:
        """Goes on with long packets and with short ones, each on their own."""
        for verdict, those in ((1, larger), (0, ~larger)):
            work = ActionExecutor(self.executor, self.router, self.table, self.state)
            work.notes[plain(register)] = verdict
            work.limit, work.has_sent = self.limit, self.has_sent
            work.run(*rest)  # type: ignore[arg-type]
            self.looked_up += work.looked_up
            self.add(work.result, those)

    def stop_here(self, actions: tuple[Action, ...], goto: Table | None, written: tuple[int, int] | None) -> None:
        """Leaves the rest until it is known what is beneath."""
        known = tuple(each for each in self.stack if each is not BENEATH)
        notes = tuple(sorted(self.notes.items()))
        resume = Resume(self.router, self.table, actions, goto, written, notes, known)
        self.result.resumes.append((self.limit, resume))

    def look_up(self, table: Table) -> None:
        """On to a table."""
        if self.stack and self.stack[-1] is BENEATH:
            self.stop_here((), table, None)
            return
        if self.table > MARKING >= table and not self.stack:
            raise NotModelledError("packets get their class twice")
        limit = self.limit if self.table > MARKING or table <= MARKING else self.leaving()
        node = self.executor.node(self.router, table, self.state)
        self.looked_up.append(node)
        self.add(node.result, limit)

    def leaving(self) -> Set:
        """Packets on the way out of the tables that mark them, with the mark that they have got."""
        if self.table > MARKING or self.stack:
            return self.limit
        if MARKED in self.notes:
            raise NotModelledError("packets get their class twice")
        dscp = self.notes.get("ip_dscp")
        if dscp is None:
            return self.limit & self.space.kept_mark
        return self.limit & self.space.marked(dscp) if isinstance(dscp, int) else self.limit

    def add(self, result: Result, limit: Set) -> None:
        """What came of packets further on; those that wait for what is beneath go on with what there is."""
        self.result.hangs_on |= result.hangs_on
        self.result.out |= limit & result.out if limit != self.space.all else result.out
        for those, resume in result.resumes:
            if self.stack[:1] == [BENEATH]:
                self.result.resumes.append((limit & those, resume))
                continue
            self.go_on(limit & those, resume, self.stack)

    def go_on(self, those: Set, resume: Resume, beneath: list[LabelEntry]) -> None:
        """Does the rest of what waited to know ``beneath``."""
        overwritten = tuple((name, value) for name, value in self.notes.items() if not is_noted(name))
        notes = tuple(sorted((dict(overwritten) | dict(resume.notes)).items()))
        state = State(notes, (*beneath, *resume.stack), self.stripped)
        work = ActionExecutor(self.executor, resume.router, max(resume.table, Table.CORE), state)
        work.run(resume.actions, resume.goto, resume.written)
        self.add_all(work.result, those)

    def add_all(self, result: Result, limit: Set) -> None:
        """What came of packets, with those that wait."""
        self.result.hangs_on |= result.hangs_on
        self.result.out |= limit & result.out if limit != self.space.all else result.out
        self.result.resumes += [(limit & those, resume) for those, resume in result.resumes]

    def end(self, where: int) -> None:
        """All packets end here."""
        self.result.out |= self.leaving() & self.space.out(where)

    def output(self, port: int) -> None:
        """Out of a port."""
        came_by = self.notes.get("in_port")
        if port == CONTROLLER:
            return
        links = self.program.links[self.router]
        if port == IN_PORT:
            self.once()
            if came_by not in links:
                self.back(came_by)
                return
            port = came_by
        elif port == came_by:
            return
        else:
            self.once()
        bit = self.program.port_bit(self.router, port)
        self.result.hangs_on |= bit
        if bit & self.executor.down:
            return
        if port in links:
            self.onward(links[port])
        else:
            self.deliver(port)

    def back(self, port: object) -> None:
        """Out of the port on the sites' side that packets came in by: an answer, if it goes to the line they are of."""
        if RETAGGED not in self.notes:
            self.end(ANSWERED)
        elif (site := self.site_at(port)) is not None:
            self.end(self.program.index[site])
        else:
            self.end(LOST)

    def site_at(self, port: object) -> str | None:
        """The site that packets get to out of a port, with the tag that they have."""
        return self.program.sites.get((self.router, port, self.notes.get("vlan_vid")))

    def deliver(self, port: int) -> None:
        """Out of a port on the sites' side."""
        site, is_sent = self.site_at(port), not self.stack and ALTERED not in self.notes
        whole = site is not None and is_sent and self.notes.get("eth_dst") == self.program.macs[site]
        self.end(self.program.index[site] if site is not None and whole else LOST)

    def onward(self, link: str) -> None:
        """Over a fibre."""
        far = self.program.network.link[link].other(self.router)
        port = self.program.network.ports[far][link]
        limit = self.in_class()
        overwritten = {name: value for name, value in self.notes.items() if not is_noted(name) and name[:4] != "eth_"}
        tag = {"vlan_vid": self.notes["vlan_vid"]} if "vlan_vid" in self.notes else {}
        if self.stack:
            overwritten = {name: value for name, value in overwritten.items() if name in LASTING}
        else:
            overwritten[MARKED] = 1
        notes = {**overwritten, **tag, "in_port": port}
        stack: tuple[LabelEntry, ...] = ()
        beneath = self.stack[:-1]
        if self.stack:
            top = self.stack[-1][0], CLASS_TC
            stack = (BENEATH, top) if beneath else (top,)
        node = self.executor.node(far, Table.ADMIT, State(tuple(sorted(notes.items())), stack, self.stripped))
        self.result.hangs_on |= node.result.hangs_on
        self.result.out |= limit & node.result.out if limit != self.space.all else node.result.out
        for those, resume in node.result.resumes:
            if beneath == [BENEATH]:
                self.result.resumes.append((limit & those, resume))
            else:
                self.go_on(limit & those, resume, beneath)

    def in_class(self) -> Set:
        """Those packets whose labels have the traffic class of their class; the others are mismarked."""
        limit = self.leaving()
        for entry in self.stack:
            if entry is BENEATH or entry[1] == CLASS_TC or (isinstance(entry[0], tuple) and entry[0][0] == SENT):
                continue
            right = self.space.none
            if isinstance(entry[1], int):
                right = self.space.equal("mark", entry[1], None, 3)
            self.result.out |= limit & ~right & self.space.out(MISMARKED)
            limit &= right
        return limit

    def pop(self, kind: int, *rest: object) -> bool:
        """The top label off; False where what follows has been done."""
        if not self.stack:
            return True
        label, _ = self.stack.pop()
        self.stripped |= isinstance(label, tuple) and not self.stack
        if self.stack:
            if kind != MPLS:
                raise NotModelledError("labels beneath what is said to be the last")
            return True
        readable = self.space.match("eth_type", kind, beneath=self.stripped)
        blind = ActionExecutor(self.executor, self.router, self.table, self.state)
        blind.notes["eth_type"] = kind
        blind.run(*rest)  # type: ignore[arg-type]
        self.add_all(blind.result, self.limit & ~readable)
        seen = ActionExecutor(self.executor, self.router, self.table, self.state)
        seen.run(*rest)  # type: ignore[arg-type]
        self.add_all(seen.result, self.limit & readable)
        self.looked_up += [*blind.looked_up, *seen.looked_up]
        return False
