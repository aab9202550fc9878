"""Actions, done to all packets of a state at once, by OpenFlow 1.3 and, where that leaves things open, as Open vSwitch
does; `helsewan.verification.concrete.switch` does the same to one packet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from helsewan.controller.openflow.entries import (
    CONTROLLER,
    IN_PORT,
    MPLS,
    Action,
    CheckLarger,
    DecMplsTtl,
    DecTtl,
    Group,
    Load,
    Move,
    Output,
    PopMpls,
    PopVlan,
    PushMpls,
    PushVlan,
    Resubmit,
    SetField,
    Table,
)
from helsewan.controller.openflow.pipeline import VLAN_PRESENT
from helsewan.topology.model import TRUNK_PORT
from helsewan.verification.concrete.packet import number, plain
from helsewan.verification.symbolic.header_space import Set
from helsewan.verification.symbolic.liveness import TTLS
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
    UNKNOWN,
    LabelEntry,
    Node,
    NotModelledError,
    Result,
    Resume,
    State,
)
from helsewan.verification.symbolic.tables import is_noted

if TYPE_CHECKING:
    from helsewan.verification.symbolic.symbolic_executor import SymbolicExecutor

_NOTED_TTL = "ttl", 0, 8
_REWRITTEN = frozenset({"eth_src", "eth_dst", "eth_type", "ip_dscp"})  # of headers, what routers change
_MARKING = Table.CONTRACT  # the last table that may give a packet its class


class ActionExecutor:
    """One list of actions, done to packets in one state."""

    def __init__(self, machine: SymbolicExecutor, router: str, table: Table, state: State) -> None:
        self.machine, self.program, self.space = machine, machine.program, machine.space
        self.router, self.table = router, table
        self.notes: dict[str, object] = dict(state.notes)
        self.stack, self.stripped = list(state.stack), state.stripped
        self.limit: Set = self.space.all  # those of the packets that are still under way
        self.result = Result(self.space.none)
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
                    self.add(self.machine.group(self.router, id_, self.state), self.in_class())
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
            work = ActionExecutor(self.machine, self.router, self.table, self.state)
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
        if self.table > _MARKING >= table and not self.stack:
            raise NotModelledError("packets get their class twice")
        limit = self.limit if self.table > _MARKING or table <= _MARKING else self.leaving()
        node = self.machine.node(self.router, table, self.state)
        self.looked_up.append(node)
        self.add(node.result, limit)

    def leaving(self) -> Set:
        """Packets on the way out of the tables that mark them, with the mark that they have got."""
        if self.table > _MARKING or self.stack:
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
        work = ActionExecutor(self.machine, resume.router, max(resume.table, Table.CORE), state)
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
        if bit & self.machine.down:
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
        node = self.machine.node(far, Table.ADMIT, State(tuple(sorted(notes.items())), stack, self.stripped))
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
        blind = ActionExecutor(self.machine, self.router, self.table, self.state)
        blind.notes["eth_type"] = kind
        blind.run(*rest)  # type: ignore[arg-type]
        self.add_all(blind.result, self.limit & ~readable)
        seen = ActionExecutor(self.machine, self.router, self.table, self.state)
        seen.run(*rest)  # type: ignore[arg-type]
        self.add_all(seen.result, self.limit & readable)
        self.looked_up += [*blind.looked_up, *seen.looked_up]
        return False

    def rewrite(self, action: Action) -> None:
        """Whatever changes packets or notes, and sends nothing out."""
        match action:
            case DecTtl() | DecMplsTtl():
                return
            case PushVlan():
                if self.notes.get("vlan_vid", 0) != 0:
                    raise NotModelledError("a second tag")
                if "vlan_vid" not in self.notes:
                    untagged = self.space.equal("vlan_vid", 0)
                    self.result.out |= self.limit & ~untagged & self.space.out(UNKNOWN)
                    self.limit &= untagged
                self.tag(VLAN_PRESENT)
            case PopVlan():
                self.tag(0)
            case PushMpls():
                self.push()
            case SetField(name, value):
                self.set(plain(name), number(value))
            case Load(name, value, bits):
                self.load(plain(name), value, (1 << bits) - 1)
            case Move(source, destination, bits, from_bit, to_bit):
                self.move(plain(source), plain(destination), bits, from_bit, to_bit)
            case _:
                raise NotModelledError(str(action))

    def push(self) -> None:
        """A label more, with the class of what is beneath."""
        if len(self.stack) == 3:
            raise NotModelledError("a fourth label")
        if not self.stack:
            dscp = self.notes.get("ip_dscp")
            self.stack.append((0, dscp & 7 if isinstance(dscp, int) else ("ip_dscp", 0, 3)))
        else:
            self.stack.append((0, CLASS_TC) if self.stack[-1] is BENEATH else self.stack[-1])

    def set(self, name: str, value: int) -> None:
        """A field becomes a number."""
        if name in TTLS:
            return
        if name in ("mpls_label", "mpls_tc"):
            if self.stack:
                label, tc = self.stack[-1]
                self.stack[-1] = (value, tc) if name == "mpls_label" else (label, value)
        elif name == "vlan_vid":
            if name not in self.notes:
                raise NotModelledError("a tag that is changed where there may be none")
            if self.notes[name] != 0:
                self.tag(value)
        elif name == "ip_dscp" and self.table > _MARKING:
            right = self.space.marked(value)
            self.result.out |= self.limit & ~right & self.space.out(MISMARKED)
            self.limit &= right
        else:
            self.write(name, value)

    def write(self, name: str, value: object) -> None:
        """A field becomes something, which shows in packets if it is one of their headers."""
        self.notes[name] = value
        if not is_noted(name) and name not in _REWRITTEN:
            self.notes[ALTERED] = 1

    def tag(self, vlan: int) -> None:
        """Another tag, or none. On a port of its own, a line's packets have none."""
        if self.notes.get("in_port", TRUNK_PORT) != TRUNK_PORT and not vlan:
            self.notes.pop(RETAGGED, None)
        elif self.notes.get("vlan_vid") != vlan:
            self.notes[RETAGGED] = 1
        self.notes["vlan_vid"] = vlan

    def load(self, name: str, value: int, mask: int) -> None:
        """The low bits of a field become a number."""
        before = self.notes.get(name, 0)
        if name in ("mpls_label", "mpls_tc") and self.stack:
            before = self.stack[-1][name == "mpls_tc"]
        if not isinstance(before, int):
            raise NotModelledError(f"a part of {name}")
        self.set(name, before & ~mask | value & mask)

    def move(self, source: str, destination: str, bits: int, from_bit: int, to_bit: int) -> None:
        """Bits of one field into another."""
        if source in TTLS or destination in TTLS:
            if destination not in TTLS:
                self.notes[destination] = _NOTED_TTL
            elif source not in TTLS and self.notes.get(source) != _NOTED_TTL:
                raise NotModelledError("a TTL that is none")
            return
        value = self.stack[-1][1] if source == "mpls_tc" and self.stack else self.notes.get(source)
        if value is None:
            value = 0 if is_noted(source) else (source, from_bit, bits)
        elif isinstance(value, int):
            value = value >> from_bit & (1 << bits) - 1
        elif from_bit or value[2] != bits:  # type: ignore[index]
            raise NotModelledError(f"a part of {source}")
        if to_bit:
            raise NotModelledError(f"a part of {destination}")
        if isinstance(value, int):
            self.load(destination, value, (1 << bits) - 1)
        elif destination == "mpls_tc":
            if self.stack and self.stack[-1] is not BENEATH:
                self.stack[-1] = self.stack[-1][0], value
        elif destination in ("vlan_vid", "mpls_label") or (destination == "ip_dscp" and self.table > _MARKING):
            raise NotModelledError(f"{destination} is copied from elsewhere")
        else:
            self.write(destination, value)
