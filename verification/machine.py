"""What a network's switches do to all packets at once.

Packets go through the tables together as long as all that switches noted of them is the same: a *state* is what they
noted, and a *node* is a state at a table of a router. What becomes of the packets at a node is a relation (headers.py)
between their headers as they were sent and where they end. It is worked out once for each node, from the nodes after
it; since what can no longer matter is left out of a state (needs.py), a node stands for all access lines of a role, and
for all packets of a VPN.

What is beneath a transport label cannot be looked at while that is on. So a way through the core is gone once for all
that may be beneath (``BENEATH``), and ends in a `Resume` where that is uncovered.

Time to live is not modelled: a packet that comes where it was, as it was, loops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from controller.interpreter.packet import number, plain
from controller.paths import Failures
from controller.pipeline import VLAN_PRESENT
from controller.rules import (
    CONTROLLER,
    IN_PORT,
    MPLS,
    Action,
    CheckLarger,
    DecMplsTtl,
    DecTtl,
    FlowRule,
    Group,
    GroupRule,
    Load,
    Move,
    Output,
    PopMpls,
    PopVlan,
    PushMpls,
    PushVlan,
    Resubmit,
    RuleSet,
    SetField,
    Table,
)
from topology.model import TRUNK_PORT, Network
from verification.tables import Entry, Partition, TableEntries, is_noted
from verification.headers import Set, Space, UnknownFieldError
from verification.needs import ALL_BITS, Needs, RouterNeeds, matched_fields

# Ends beside sites, which have the numbers from 0 on.
LOOPED, LOST, MISMARKED, AMBIGUOUS, UNKNOWN, ANSWERED = FAULTS = tuple(range(0xFFF0, 0xFFF6))

Copied = tuple[str, int, int]  # bits of something that is not one number: (of what, from which bit, how many)
Noted = "int | Copied"
SENT, CLASS_TC, BENEATH = "sent", ("ip_dscp", 3, 3), (-1, -1)  # CLASS_TC: the MPLS traffic class of a packet's class
LabelEntry = tuple[object, object]  # label and TC: numbers, or Copied; (SENT, place) of a label it was sent with
Notes = tuple[tuple[str, object], ...]
_TTLS = frozenset({"nw_ttl", "mpls_ttl"})
_MARKING = Table.CONTRACT  # the last table that may give a packet its class


class NotModelledError(Exception):
    """An entry does what is not modelled; nothing is proved of the packets that meet it."""


@dataclass(frozen=True, slots=True)
class State:
    """What switches noted of packets, and of their headers what they overwrote. ``stack`` are the labels, the top one
    last; ``stripped``: they were sent with labels, which are gone."""

    notes: Notes
    stack: tuple[LabelEntry, ...] = ()
    stripped: bool = False


@dataclass(frozen=True, slots=True)
class Resume:
    """Where the label beneath is looked at: what is still to be done, and what was noted until then."""

    router: str
    table: Table
    actions: tuple[Action, ...]
    goto: Table | None
    written: tuple[int, int] | None
    notes: Notes
    stack: tuple[LabelEntry, ...]


@dataclass(slots=True)
class Result:
    """What becomes of packets: a relation, those that go on once it is known what is beneath, and what of the network
    it hangs on being up, as bits."""

    out: Set
    resumes: list[tuple[Set, Resume]] = field(default_factory=list)
    hangs_on: int = 0


@dataclass(slots=True, eq=False)
class Node:
    """A state at a table, with the edges to what comes after: which packets take it, and by which entry."""

    router: str
    table: Table
    state: State
    result: Result
    edges: tuple[tuple[Set, Entry], ...] = ()


class Program:
    """A network's rules, made ready: entries, groups, and what can matter where. ``space`` may be shared."""

    def __init__(self, network: Network, rules: Mapping[str, RuleSet], space: Space) -> None:
        self.network, self.space = network, space
        self.entries: dict[FlowRule, Entry] = {}
        self.unreadable: list[tuple[str, FlowRule]] = []
        keys: dict[tuple[tuple[str, int, int | None], ...], int] = {}
        self.tables: dict[str, dict[Table, TableEntries]] = {}
        self.groups: dict[str, dict[int, GroupRule]] = {}
        same: dict[int, Entry] = {}
        for router, held in rules.items():
            by_table: dict[Table, list[Entry]] = {}
            for rule in held.flows:
                entry = same.get(id(rule)) or self.entries.get(rule)
                if entry is None:
                    try:
                        entry = self.entries[rule] = Entry(rule, space, keys)
                    except (UnknownFieldError, ValueError):
                        self.unreadable.append((router, rule))
                        continue
                same[id(rule)] = entry
                by_table.setdefault(rule.table, []).append(entry)
            self.tables[router] = {table: TableEntries(each) for table, each in by_table.items()}
            self.groups[router] = {group.id: group for group in held.groups}
        matched = matched_fields(table for tables in self.tables.values() for table in tables.values())
        self.needs = {r: RouterNeeds(self.tables[r], self.groups[r], matched) for r in self.tables}
        self.links = {router: {port: link for link, port in ports.items()} for router, ports in network.ports.items()}
        self.sites = _sites_by_port(network)
        self.macs = {site.id: number(site.mac) for site in network.sites}
        self.index = {site.id: place for place, site in enumerate(network.sites)}
        things = [*(link.id for link in network.links), *sorted(each for lines in network.line_ports.values() for each in lines)]
        self.bit = {thing: 1 << place for place, thing in enumerate(things)}
        self.line_at = {
            (router, port): self.bit[line] for router, lines in network.line_ports.items() for line, port in lines.items()
        }

    def bits_of(self, failures: Failures) -> int:
        """The links and lines that carry nothing then."""
        down = {link.id for link in self.network.links if {link.a, link.b} & failures.routers}
        return sum(self.bit[thing] for thing in down | failures.links | failures.lines)

    def port_bit(self, router: str, port: int) -> int:
        """What a port hangs on, as a bit; 0 for the trunk."""
        link = self.links[router].get(port)
        return self.line_at.get((router, port), 0) if link is None else self.bit[link]


def _sites_by_port(network: Network) -> dict[tuple[str, int, int], str]:
    own = {
        (router, port, 0): site for router, lines in network.line_ports.items() for (site, _), port in lines.items()
    }
    return own | {
        (access.router, TRUNK_PORT, access.vlan | VLAN_PRESENT): site.id
        for site in network.sites
        for access in site.accesses
        if len(site.accesses) == 1
    }


class Machine:
    """Works nodes out, in one state of the network. A machine of an intact network is the ``base`` of those in which
    something failed: what hangs on nothing that failed is the same there."""

    def __init__(self, program: Program, down: int = 0, base: Machine | None = None) -> None:
        self.program, self.space, self.down, self.base = program, program.space, down, base
        self.partition = base.partition if base else Partition(program.space)
        self.nodes: dict[tuple[object, ...], Node] = {}
        self.acted: dict[tuple[object, ...], Result] = base.acted if base and not down else {}
        self._under_way: set[tuple[object, ...]] = set()
        self._anded: dict[tuple[Set, Set], Set] = base._anded if base else {}

    def node(self, router: str, table: Table, state: State) -> Node:
        """The node of packets in a state that come to a table."""
        state = self._narrowed(state, self.program.needs[router].at(table))
        key = router, table, state
        if self.base is not None and (known := self.base.nodes.get(key)) and not known.result.hangs_on & self.down:
            return known
        found = self.nodes.get(key)
        if found is None:
            if key in self._under_way:
                return Node(router, table, state, Result(self.space.out(LOOPED)))
            self._under_way.add(key)
            found = self.nodes[key] = self._node(router, table, state)
            self._under_way.discard(key)
        return found

    def _narrowed(self, state: State, needs: Needs) -> State:
        """Without what cannot matter any more."""
        if needs.everything:
            return state
        kept: list[tuple[str, object]] = []
        for name, value in state.notes:
            if name == "in_port":
                if needs.any_port or value in needs.ports:
                    kept.append((name, value))
            elif mask := needs.bits.get(name, 0):
                whole = mask == ALL_BITS or not isinstance(value, int)
                kept.append((name, value if whole else value & mask))  # type: ignore[operator]
        return State(tuple(kept), state.stack, state.stripped)

    def _node(self, router: str, table: Table, state: State) -> Node:
        entries = self.program.tables[router].get(table)
        if entries is None:
            return Node(router, table, state, Result(self.space.none))
        if entries.is_uniform:
            shares: list[tuple[Set, Entry]] = [(self.space.all, entries.entries[0])]
            ambiguous = self.space.none
        else:
            shares, ambiguous = self._shares(entries, state)
        node = Node(router, table, state, Result(self.space.none), tuple(shares))
        out, resumes, hangs_on = self.space.none, [], 0
        for takes, effect in _by_effect(self.space, shares):
            result = self.act(router, table, *effect, state)
            out |= self._within(takes, result)
            resumes += [(takes & limit, resume) for limit, resume in result.resumes]
            hangs_on |= result.hangs_on
        if ambiguous != self.space.none:
            out |= ambiguous & self.space.out(AMBIGUOUS)
        node.result = Result(out, resumes, hangs_on)
        return node

    def _within(self, takes: Set, result: Result) -> Set:
        if takes == self.space.all or result.out == self.space.none:
            return result.out
        key = takes, result.out
        if key not in self._anded:
            self._anded[key] = takes & result.out
        return self._anded[key]

    def _shares(self, entries: TableEntries, state: State) -> tuple[list[tuple[Set, Entry]], Set]:
        """Which entry takes which packets; and those that two entries take alike, to different effect."""
        notes = dict(state.notes)
        met = entries.met_by(lambda name: _noted(name, notes, state))
        as_sent = not state.stack and not state.stripped and not any(not is_noted(name) for name in notes)
        if as_sent and ("vlan_vid" in notes or not any(e for e in met if any(c[0] == "vlan_vid" for c in e.noted))):
            found = self.partition.of(met)
        else:
            found = self.partition.among([(entry.priority, self._takes(entry, notes, state)) for entry in met])
        ambiguous = self.space.none
        for one, other, both in found.alike:
            if met[one].effect != met[other].effect:
                ambiguous |= both
        return [(takes, entry) for takes, entry in zip(found.taken, met, strict=True) if takes != self.space.none], ambiguous

    def _takes(self, entry: Entry, notes: Mapping[str, object], state: State) -> Set:
        """The packets that an entry takes, where headers are not as they were sent."""
        found, space = self.space.all, self.space
        for name, value, mask in entry.noted:
            if name == "vlan_vid" and name not in notes:
                found &= space.match(name, value, mask)
            elif name == "mpls_label" and state.stack and isinstance(state.stack[-1][0], tuple):
                found &= space.equal(f"label{state.stack[-1][0][1]}", value, mask)
            elif name == "mpls_tc" and state.stack and not isinstance(state.stack[-1][1], int):
                raise NotModelledError("the traffic class decides the way")
        for name, value, mask in entry.header:
            kind = MPLS if state.stack else notes.get("eth_type")
            if name == "eth_type" and kind is not None:
                fits = kind == value if mask is None else kind & mask == value  # type: ignore[operator]
                found = found if fits else space.none
            elif name in notes and not state.stack:
                noted = notes[name]
                if not isinstance(noted, int):
                    raise NotModelledError(f"{name} is looked at again")
                fits = noted == value if mask is None else noted & mask == value
                found = found if fits else space.none
            elif kind is not None and not name.startswith("eth_"):
                return space.none  # out of sight
            else:
                found &= space.match(name, value, mask, beneath=state.stripped)
        return found

    def act(
        self,
        router: str,
        table: Table,
        actions: tuple[Action, ...],
        goto: Table | None,
        written: tuple[int, int] | None,
        state: State,
    ) -> Result:
        """What becomes of packets of which an entry of ``table`` has this done."""
        work = _Work(self, router, table, state)
        try:
            work.run(actions, goto, written)
        except NotModelledError:
            work.result.out = self.space.out(UNKNOWN)
        return work.result

    def group(self, router: str, id_: int, state: State) -> Result:
        """What becomes of packets that a group is handed."""
        # What is handed over by many with different labels is gone through once for all of them.
        stack = (BENEATH,) if state.stack and state.stack[0] is not BENEATH else state.stack
        needs = self.program.needs[router].of_group(id_)
        handed = self._narrowed(State(state.notes, stack, state.stripped), needs)
        key = router, "group", id_, handed
        known = None if self.base is None else self.base.acted.get(key)
        if known is None or known.hangs_on & self.down:
            known = self.acted.get(key)
        if known is None:
            known = self.acted[key] = self._group(router, id_, handed)
        return known

    def _group(self, router: str, id_: int, state: State) -> Result:
        group, hangs_on = self.program.groups[router].get(id_), 0
        for bucket in group.buckets if group else ():
            bit = self.program.port_bit(router, bucket.watch_port)
            hangs_on |= bit
            if not bit & self.down:
                work = _Work(self, router, Table.ROUTE, state)
                work.run(bucket.actions, None, None)
                return Result(work.result.out, work.result.resumes, work.result.hangs_on | hangs_on)
        return Result(self.space.none, hangs_on=hangs_on)


def _by_effect(space: Space, shares: Iterable[tuple[Set, Entry]]) -> Iterable[tuple[Set, tuple[object, ...]]]:
    """Shares of entries that do the same, as one."""
    together: dict[tuple[object, ...], list[Set]] = {}
    for takes, entry in shares:
        together.setdefault(entry.effect, []).append(takes)
    return [(space.any_of(each), effect) for effect, each in together.items()]


def _noted(name: str, notes: Mapping[str, object], state: State) -> int | None:
    """A noted field as one number; None where it is not one, -1 where packets have none."""
    if name.startswith("mpls_"):
        if not state.stack:
            return -1
        label, tc = state.stack[-1]
        if name == "mpls_bos":
            return int(len(state.stack) == 1)
        value = label if name == "mpls_label" else tc
        return value if isinstance(value, int) else None
    if name == "vlan_vid" and name not in notes:
        return None
    value = notes.get(name, 0)
    if not isinstance(value, int):
        raise NotModelledError(f"{name} decides the way")
    return value


class _Work:
    """One list of actions, done to packets in one state."""

    def __init__(self, machine: Machine, router: str, table: Table, state: State) -> None:
        self.machine, self.program, self.space = machine, machine.program, machine.space
        self.router, self.table = router, table
        self.notes: dict[str, object] = dict(state.notes)
        self.stack, self.stripped = list(state.stack), state.stripped
        self.limit: Set = self.space.all  # those of the packets that are still under way
        self.result = Result(self.space.none)

    @property
    def state(self) -> State:
        """As it is now."""
        return State(tuple(sorted(self.notes.items())), tuple(self.stack), self.stripped)

    def run(self, actions: tuple[Action, ...], goto: Table | None, written: tuple[int, int] | None) -> None:
        """Does actions in turn, writes metadata and goes on to a table."""
        for place, action in enumerate(actions):
            match action:
                case Output(port) if port in self.program.links[self.router] and self.stack[-1:] == [BENEATH]:
                    self.stop_here(actions[place:], goto, written)
                    return
                case Output(port):
                    self.output(port)
                case Group(id_):
                    self.add(self.machine.group(self.router, id_, self.state), self.leaving())
                case Resubmit(table):
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
                    self.split(self.space.above("frame_bytes", frame_bytes), register, actions[place + 1 :], goto, written)
                    return
                case _:
                    self.rewrite(action)
        if written is not None:
            value, mask = written
            before = self.notes.get("metadata", 0)
            self.notes["metadata"] = before & ~mask | value & mask  # type: ignore[operator]
        if goto is not None:
            self.look_up(goto)

    def split(self, larger: Set, register: str, *rest: object) -> None:
        """Goes on with long packets and with short ones, each on their own."""
        for verdict, those in ((1, larger), (0, ~larger)):
            work = _Work(self.machine, self.router, self.table, self.state)
            work.notes[plain(register)] = verdict
            work.limit = self.limit
            work.run(*rest)  # type: ignore[arg-type]
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
        limit = self.limit if self.table > _MARKING or table <= _MARKING else self.leaving()
        node = self.machine.node(self.router, table, self.state)
        self.add(node.result, limit)

    def leaving(self) -> Set:
        """Packets on the way out of the tables that mark them, with the mark that they have got."""
        if self.table > _MARKING or self.stack:
            return self.limit
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
        work = _Work(self.machine, resume.router, max(resume.table, Table.CORE), state)
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
            if came_by not in links:
                self.end(ANSWERED)
                return
            port = came_by
        elif port == came_by:
            return
        bit = self.program.port_bit(self.router, port)
        self.result.hangs_on |= bit
        if bit & self.machine.down:
            return
        if port in links:
            self.onward(links[port])
        else:
            self.deliver(port)

    def deliver(self, port: int) -> None:
        """Out of a port on the sites' side."""
        vlan = self.notes.get("vlan_vid")
        site = self.program.sites.get((self.router, port, vlan)) if isinstance(vlan, int) else None
        whole = site is not None and not self.stack and self.notes.get("eth_dst") == self.program.macs[site]
        self.end(self.program.index[site] if site is not None and whole else LOST)

    def onward(self, link: str) -> None:
        """Over a fibre."""
        far = self.program.network.link[link].other(self.router)
        port = self.program.network.ports[far][link]
        limit = self.in_class()
        overwritten = {name: value for name, value in self.notes.items() if not is_noted(name) and name[:4] != "eth_"}
        tag = {"vlan_vid": self.notes["vlan_vid"]} if "vlan_vid" in self.notes else {}
        notes = {**({} if self.stack else overwritten), **tag, "in_port": port}
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
            if entry is BENEATH or entry[1] == CLASS_TC or entry[0] == SENT:
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
        blind = _Work(self.machine, self.router, self.table, self.state)
        blind.notes["eth_type"] = kind
        blind.run(*rest)  # type: ignore[arg-type]
        self.add_all(blind.result, self.limit & ~readable)
        seen = _Work(self.machine, self.router, self.table, self.state)
        seen.run(*rest)  # type: ignore[arg-type]
        self.add_all(seen.result, self.limit & readable)
        return False

    def rewrite(self, action: Action) -> None:
        """Whatever changes packets or notes, and sends nothing out."""
        match action:
            case DecTtl() | DecMplsTtl():
                return
            case PushVlan():
                self.notes["vlan_vid"] = VLAN_PRESENT
            case PopVlan():
                self.notes["vlan_vid"] = 0
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
        if name in _TTLS:
            return
        if name in ("mpls_label", "mpls_tc"):
            if self.stack:
                label, tc = self.stack[-1]
                self.stack[-1] = (value, tc) if name == "mpls_label" else (label, value)
        elif name == "vlan_vid":
            if self.notes.get(name, VLAN_PRESENT) != 0:
                self.notes[name] = value
        elif name == "ip_dscp" and self.table > _MARKING:
            right = self.space.marked(value)
            self.result.out |= self.limit & ~right & self.space.out(MISMARKED)
            self.limit &= right
        else:
            self.notes[name] = value

    def load(self, name: str, value: int, mask: int) -> None:
        """The low bits of a field become a number."""
        before = self.notes.get(name, 0)
        if not isinstance(before, int):
            raise NotModelledError(f"a part of {name}")
        self.set(name, before & ~mask | value & mask)

    def move(self, source: str, destination: str, bits: int, from_bit: int, to_bit: int) -> None:
        """Bits of one field into another."""
        if source in _TTLS or destination in _TTLS:
            if destination not in _TTLS:
                self.notes[destination] = ("ttl", 0, 8)
            return
        value = self.stack[-1][1] if source == "mpls_tc" and self.stack else self.notes.get(source)
        if value is None:
            value = 0 if "reg" in source or source == "metadata" else (source, from_bit, bits)
        elif isinstance(value, int):
            value = value >> from_bit & (1 << bits) - 1
        if to_bit:
            raise NotModelledError(f"a part of {destination}")
        if destination == "mpls_tc":
            if self.stack and self.stack[-1] is not BENEATH:
                self.stack[-1] = self.stack[-1][0], value
        else:
            self.notes[destination] = value


MetBy = Callable[[str], "int | None"]
