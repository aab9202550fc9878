"""What a network's switches do to all packets at once.

Packets go through the tables together as long as all that switches noted of them is the same: a *state* is what they
noted, and a *node* is a state at a table of a router. What becomes of the packets at a node is a relation
(`header_space`) between their headers as they were sent and where they end. It is worked out once for each node, from
the nodes after it; since what can no longer matter is left out of a state (`liveness`), a node stands for all access
lines of a role, and for all packets of a VPN.

What is beneath a transport label cannot be looked at while that is on. So a way through the core is gone once for all
that may be beneath (``BENEATH``), and ends in a `Resume` where that is uncovered.

Time to live is not modelled: a packet that comes where it was, as it was, loops.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from helsewan.controller.openflow.entries import MPLS, Foreign, Table
from helsewan.verification.symbolic.actions import ActionExecutor
from helsewan.verification.symbolic.header_space import Set, Space
from helsewan.verification.symbolic.liveness import Liveness
from helsewan.verification.symbolic.program import Program
from helsewan.verification.symbolic.states import (
    AMBIGUOUS,
    BENEATH,
    LASTING,
    LOOPED,
    UNKNOWN,
    Node,
    NotModelledError,
    Result,
    Resume,
    State,
    Transition,
)
from helsewan.verification.symbolic.tables import ALL_BITS, Effect, Entry, Partition, TableEntries, is_noted


class SymbolicExecutor:
    """Works nodes out, in one state of the network. A machine of an intact network is the ``base`` of those in which
    something failed (``down``) or rules are others (``changed``): what hangs on none of that is the same there."""

    def __init__(self, program: Program, down: int = 0, base: SymbolicExecutor | None = None, changed: int = 0) -> None:
        self.program, self.space, self.down, self.base = program, program.space, down, base
        self.stale = down | changed
        self.partition: Partition = base.partition if base else Partition(program.space)
        self.nodes: dict[tuple[object, ...], Node] = {}
        self.acted: dict[tuple[object, ...], Result] = {}
        self._under_way: set[tuple[object, ...]] = set()
        self._anded: dict[tuple[Set, Set], Set] = base._anded if base else {}

    def node(self, router: str, table: Table, state: State) -> Node:
        """The node of packets in a state that come to a table."""
        state = self.narrowed(state, self.program.needs[router].at(table))
        key = router, table, state
        known = self.base.nodes.get(key) if self.base else None
        if known is not None and not known.result.hangs_on & self.stale:
            return known
        found = self.nodes.get(key)
        if found is None:
            if key in self._under_way:
                return Node(router, table, state, Result(self.space.out(LOOPED)))
            self._under_way.add(key)
            if known is not None and self._meets_others(router, table, state):
                known = None
            found = self.nodes[key] = self._node(router, table, state, known)
            self._under_way.discard(key)
        return found

    def _meets_others(self, router: str, table: Table, state: State) -> bool:
        """Whether packets in a state meet other entries of a table than by the base's rules."""
        assert self.base is not None
        mine, bases = (machine.program.tables[router].get(table) for machine in (self, self.base))
        if mine is bases or mine is None or bases is None:
            return mine is not bases
        notes = dict(state.notes)
        try:
            met, met_before = (each.met_by(lambda name: _noted(name, notes, state)) for each in (mine, bases))
        except NotModelledError:
            return True
        return met != met_before

    def narrowed(self, state: State, needs: Liveness) -> State:
        """Without what cannot matter any more."""
        if needs.everything:
            return state
        kept: list[tuple[str, object]] = []
        for name, value in state.notes:
            if name == "in_port":
                if needs.any_port or value in needs.ports:
                    kept.append((name, value))
            elif name in LASTING:
                kept.append((name, value))
            elif mask := needs.bits.get(name, 0):
                whole = mask == ALL_BITS or not isinstance(value, int)
                kept.append((name, value if whole else value & mask))  # type: ignore[operator]
        return State(tuple(kept), state.stack, state.stripped)

    def _node(self, router: str, table: Table, state: State, known: Node | None) -> Node:
        """Works a node out; ``known`` is the same in the intact network, which differs in what comes after only."""
        hangs_on = self.program.side(router, table, dict(state.notes).get("in_port"))
        if known is not None:
            node = Node(router, table, state, known.result, known.edges, known.hidden, known.ambiguous)
            todo: list[tuple[Set, Effect, Result | None]]
            todo = [(takes, deed.effect, deed.result) for takes, deed in known.deeds]
        else:
            node = Node(router, table, state, Result(self.space.none, hangs_on=hangs_on))
            if (entries := self.program.tables[router].get(table)) is None:
                return node
            try:
                node.edges, node.hidden, node.ambiguous = self._shares(entries, state)
            except NotModelledError:
                node.result = Result(self.space.out(UNKNOWN), hangs_on=hangs_on)
                return node
            todo = [(takes, effect, None) for takes, effect in _by_effect(self.space, node.edges)]
        out = node.ambiguous & self.space.out(AMBIGUOUS) if node.ambiguous is not None else self.space.none
        resumes: dict[Resume, Set] = {}  # the same from all that leads there together: else they multiply
        deeds: list[tuple[Set, Transition]] = []
        after: list[Node] = []
        for takes, effect, before in todo:
            result = before
            if result is None or result.hangs_on & self.stale:
                result = self.act(router, table, effect, state, after)
                if before and result.out == before.out and result.resumes == before.resumes:
                    result = before  # what came of it is the same: nothing before it has changed either
            deeds.append((takes, Transition(router, table, effect, state, result)))
            out |= self._within(takes, result)
            for limit, resume in result.resumes:
                resumes[resume] = resumes.get(resume, self.space.none) | takes & limit
            hangs_on |= result.hangs_on
        if known is not None and all(deed.result is same for (_, deed), (_, _, same) in zip(deeds, todo, strict=True)):
            return known
        waiting = [(those, resume) for resume, those in resumes.items()]
        node.deeds, node.after, node.result = tuple(deeds), tuple(after), Result(out, waiting, hangs_on)
        return node

    def _within(self, takes: Set, result: Result) -> Set:
        if takes == self.space.all or result.out == self.space.none:
            return result.out
        key = takes, result.out
        if key not in self._anded:
            self._anded[key] = takes & result.out
        return self._anded[key]

    def _shares(
        self, entries: TableEntries, state: State
    ) -> tuple[tuple[tuple[Set, Entry], ...], tuple[Entry, ...], Set | None]:
        """Which entry takes which packets; which take none; and packets that two take alike, to different effect."""
        if entries.is_uniform:
            return ((self.space.all, entries.entries[0]),), (), None
        notes = dict(state.notes)
        met = entries.met_by(lambda name: _noted(name, notes, state))
        if state.stack and any(_noted(name, notes, state) is None for entry in met for name in entry.unseen):
            raise NotModelledError("the traffic class or time to live of a label decides the way")
        if all(isinstance(label, int) for label, _ in state.stack) and "vlan_vid" in notes and not state.stripped:
            overwritten = any(not is_noted(name) for name in notes)
            shares = None if overwritten else self.partition.of(met, labelled=bool(state.stack))
        else:
            shares = None
        if shares is None:
            shares = self.partition.among([(entry.priority, self._takes(entry, notes, state)) for entry in met])
        ambiguous = None
        for one, other, both in shares.alike:
            if met[one].effect != met[other].effect:
                ambiguous = both if ambiguous is None else ambiguous | both
        pairs = list(zip(shares.taken, met, strict=True))
        hidden = tuple(entry for takes, entry in pairs if takes == self.space.none)
        return tuple(pair for pair in pairs if pair[0] != self.space.none), hidden, ambiguous

    def _takes(self, entry: Entry, notes: Mapping[str, object], state: State) -> Set:
        """The packets that an entry takes, where headers are not as they were sent."""
        found, space = self.space.all, self.space
        for name, value, mask in entry.noted:
            if name == "vlan_vid" and name not in notes:
                found &= space.match(name, value, mask)
            elif name == "mpls_label" and state.stack and isinstance(state.stack[-1][0], tuple):
                found &= space.equal(f"label{state.stack[-1][0][1]}", value, mask)
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

    def act(self, router: str, table: Table, effect: Effect, state: State, after: list[Node] | None = None) -> Result:
        """What becomes of packets that an entry of ``table`` treats so; ``after`` gets the nodes right behind."""
        work = ActionExecutor(self, router, table, state)
        try:
            work.run(*effect)
        except NotModelledError:
            work.result.out = self.space.out(UNKNOWN)
        if after is not None:
            after += work.looked_up
        return work.result

    def group(self, router: str, id_: int, state: State) -> Result:
        """What becomes of packets that a group is handed."""
        # What is handed over by many with different labels is gone through once for all of them.
        stack = (BENEATH,) if state.stack and state.stack[0] is not BENEATH else state.stack
        needs = self.program.needs[router].of_group(id_)
        handed = self.narrowed(State(state.notes, stack, state.stripped), needs)
        key = router, "group", id_, handed
        known = None if self.base is None else self.base.acted.get(key)
        if known is None or known.hangs_on & self.stale:
            known = self.acted.get(key)
        if known is None:
            if key in self._under_way:
                return Result(self.space.out(LOOPED))
            self._under_way.add(key)
            known = self.acted[key] = self._group(router, id_, handed)
            self._under_way.discard(key)
        return known

    def _group(self, router: str, id_: int, state: State) -> Result:
        group, hangs_on = self.program.groups[router].get(id_), self.program.groups_of(router)
        if group and any(isinstance(action, Foreign) for bucket in group.buckets for action in bucket.actions):
            return Result(self.space.out(UNKNOWN), hangs_on=hangs_on)  # what one bucket says may be of the whole group
        for bucket in group.buckets if group else ():
            bit = self.program.port_bit(router, bucket.watch_port)
            hangs_on |= bit
            if not bit & self.down:
                work = ActionExecutor(self, router, Table.ROUTE, state)
                work.run(bucket.actions, None, None)
                return Result(work.result.out, work.result.resumes, work.result.hangs_on | hangs_on)
        return Result(self.space.none, hangs_on=hangs_on)


def _by_effect(space: Space, shares: Iterable[tuple[Set, Entry]]) -> list[tuple[Set, Effect]]:
    """Shares of entries that do the same, as one."""
    together: dict[Effect, list[Set]] = {}
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
        value = {"mpls_label": label, "mpls_tc": tc}.get(name)
        return value if isinstance(value, int) else None
    if name == "vlan_vid" and name not in notes:
        return None
    value = notes.get(name, 0)
    if not isinstance(value, int):
        raise NotModelledError(f"{name} decides the way")
    return value
