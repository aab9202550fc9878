"""Symbolic execution of a network's switches on all packets at once.

A *state* is the values of pipeline fields and overwritten headers that packets share, and a *node* is a state at a
table of a router. The result of a node is a relation (`header_space`) between the headers of its packets as they were
sent and their ends. It is computed once for each node, from the nodes after it. Fields that are not live are left out
of a state (`liveness`), so that one node stands for all access links of a role, or for all packets of a VPN.

The labels below a transport label cannot be read while it is on. So a path through the core is executed once for every
stack below it (``INNER_STACK``), up to a `Continuation` where the label below is needed.

A TTL is its number of decrements by the present router: exactly one is right where packets leave it. That TTLs suffice
is assumed; a packet that returns to a node loops.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from helsewan.controller.openflow.entries import MPLS, Foreign, Table
from helsewan.verification.symbolic.actions import ActionExecutor
from helsewan.verification.symbolic.header_space import Set, Space
from helsewan.verification.symbolic.liveness import Liveness
from helsewan.verification.symbolic.program import Program
from helsewan.verification.symbolic.states import (
    AMBIGUOUS,
    INNER_STACK,
    LASTING,
    LOOPED,
    TTL,
    UNKNOWN,
    Continuation,
    GroupUse,
    Node,
    NotModelledError,
    Result,
    State,
    Transition,
)
from helsewan.verification.symbolic.tables import ALL_BITS, Effect, Entry, Partition, TableEntries, is_pipeline_field


@dataclass(slots=True)
class _Record:
    """What the actions of one list ask for: components that may be down, nodes, and groups."""

    asked: int = 0
    uses: list[Node | GroupUse] = field(default_factory=list)

    @property
    def depends_on(self) -> int:
        """The components that what was asked for depends on."""
        found = self.asked
        for use in self.uses:
            found |= use.result.depends_on
        return found

    def of(self, result: Result) -> Result:
        """A result with what it is made of."""
        result.asked, result.uses = self.asked, tuple(self.uses)
        result.in_a_loop = any(use.result.in_a_loop for use in self.uses)
        return result


class SymbolicExecutor:
    """Computes nodes, in one state of the network. The executor of the network as it stands, intact in general, is the
    ``base`` of those for failures (``down``) and for changed rules (``changed``), both bitmasks of components: results
    of the base that depend on none of these are reused, where the base does not have the same failures.

    Under failures, so are results that depend on failed components only by way of nodes and groups whose results are
    as in the base: what a failure changes is followed from the routers next to it to where it makes no difference.
    Nodes that only failures lead to are kept for all executors of one base, if the failures have not changed them."""

    def __init__(self, program: Program, down: int = 0, base: SymbolicExecutor | None = None, changed: int = 0) -> None:
        self.program, self.space, self.down, self.base = program, program.space, down, base
        self.stale, self._is_changed = down ^ (base.down if base else 0) | changed, bool(changed)
        self.partition: Partition = base.partition if base else Partition(program.space)
        self.nodes: dict[tuple[object, ...], Node] = {}
        self.group_results: dict[tuple[object, ...], Result] = {}
        self.further_nodes: dict[tuple[object, ...], Node] = {}  # of this base, found by executors for failures
        self.further_groups: dict[tuple[object, ...], Result] = {}
        self._same: dict[int, bool] = {}  # by id of a result in the base that is the same here
        self._record = _Record()
        self._in_progress: set[tuple[object, ...]] = set()
        self._intersections: dict[tuple[Set, Set], Set] = base._intersections if base else {}

    def is_down(self, component: int) -> bool:
        """Whether a component, by its bit, has failed; notes that the result depends on it."""
        self._record.asked |= component
        return bool(component & self.down)

    def node(self, router: str, table: Table, state: State) -> Node:
        """The node of packets in ``state`` at ``table``."""
        node = self._node_of((router, table, self.restricted(state, self.program.liveness[router].at(table))))
        self._record.uses.append(node)
        return node

    def _node_of(self, key: tuple[str, Table, State]) -> Node:
        """The node of a router, a table, and a state with nothing in it but what is live there."""
        known = None
        if self.base is not None:
            known = self.base.nodes.get(key) or (None if self._is_changed else self.base.further_nodes.get(key))
        if known is not None and not known.result.depends_on & self.stale:
            return known
        found = self.nodes.get(key)
        if found is None:
            if key in self._in_progress:
                return Node(*key, Result(self.space.out(LOOPED), in_a_loop=True))
            self._in_progress.add(key)
            if known is not None and self._candidates_differ(*key):
                known = None
            is_same = known is not None and not self._is_changed and self._holds_at(known)
            found = self.nodes[key] = known if known is not None and is_same else self._node(*key, known)
            self._in_progress.discard(key)
            if known is None and self._is_as_in_base(found.result):
                assert self.base is not None
                self.base.further_nodes[key] = found
        return found

    def _is_as_in_base(self, result: Result) -> bool:
        """Whether a result that the base does not have yet would be the same there."""
        return not (self.base is None or self._is_changed or result.depends_on & self.stale or result.in_a_loop)

    def holds(self, result: Result) -> bool:
        """Whether a result of an action list or a group in the base is the same here."""
        if not result.depends_on & self.stale:
            return True
        if self._is_changed or result.asked & self.stale or result.in_a_loop:
            return False
        return all(self._same.get(id(use.result)) or self._is_same(use) for use in result.uses)

    def _holds_at(self, node: Node) -> bool:
        """Whether all that follows a node of the base is the same here; a node that is not modelled ends there."""
        return all(self.holds(transition.result) for _, transition in node.transitions)

    def _is_same(self, use: Node | GroupUse) -> bool:
        """Whether a node or a group's result of the base is the same here."""
        if not use.result.depends_on & self.stale:
            return True
        if isinstance(use, Node):
            is_same = self._node_of((use.router, use.table, use.state)) is use
        else:
            is_same = self._group_of(use.key) is use.result
        if is_same:
            self._same[id(use.result)] = True
        return is_same

    def _candidates_differ(self, router: str, table: Table, state: State) -> bool:
        """Whether the candidate entries for packets in a state differ from those in the base's rules."""
        assert self.base is not None
        own, base_entries = (executor.program.tables[router].get(table) for executor in (self, self.base))
        if own is base_entries or own is None or base_entries is None:
            return own is not base_entries
        fields = dict(state.fields)
        try:
            candidates, candidates_before = (
                each.candidates(lambda name: _known_value(name, fields, state)) for each in (own, base_entries)
            )
        except NotModelledError:
            return True
        return candidates != candidates_before

    def restricted(self, state: State, live: Liveness) -> State:
        """The state without the fields and bits that are not live."""
        if live.everything:
            return state
        kept: list[tuple[str, object]] = []
        for name, value in state.fields:
            if name == "in_port":
                if live.any_port or value in live.ports:
                    kept.append((name, value))
            elif name in LASTING or name == TTL:
                kept.append((name, value))
            elif mask := live.bits.get(name, 0):
                whole = mask == ALL_BITS or not isinstance(value, int)
                kept.append((name, value if whole else value & mask))  # type: ignore[operator]
        return State(tuple(kept), state.stack, state.stripped)

    def _node(self, router: str, table: Table, state: State, known: Node | None) -> Node:
        """Computes a node; ``known`` is the base's node of the same state, which differs at most in later results."""
        depends_on = self.program.table_bits(router, table, dict(state.fields).get("in_port"))
        if known is not None:
            node = Node(router, table, state, known.result, known.edges, known.shadowed, known.ambiguous)
            todo: list[tuple[Set, Effect, Result | None]]
            todo = [(packets, transition.effect, transition.result) for packets, transition in known.transitions]
        else:
            node = Node(router, table, state, Result(self.space.none, depends_on=depends_on))
            if (entries := self.program.tables[router].get(table)) is None:
                return node
            try:
                node.edges, node.shadowed, node.ambiguous = self._shares(entries, state)
            except NotModelledError:
                node.result = Result(self.space.out(UNKNOWN), depends_on=depends_on)
                return node
            todo = [(packets, effect, None) for packets, effect in _by_effect(self.space, node.edges)]
        out = node.ambiguous & self.space.out(AMBIGUOUS) if node.ambiguous is not None else self.space.none
        continuations: dict[Continuation, Set] = {}  # equal ones are joined, or their number would grow exponentially
        transitions: list[tuple[Set, Transition]] = []
        successors: list[Node] = []
        for packets, effect, before in todo:
            result = before
            if result is None or not self.holds(result):
                result = self.execute(router, table, effect, state, successors)
                if before and result.is_equal(before):
                    result = before  # equal: so earlier nodes are unchanged, too
            transitions.append((packets, Transition(router, table, effect, state, result)))
            out |= self._intersection(packets, result)
            for limit, continuation in result.continuations:
                continuations[continuation] = continuations.get(continuation, self.space.none) | packets & limit
            depends_on |= result.depends_on
        if known is not None and all(
            transition.result is same for (_, transition), (_, _, same) in zip(transitions, todo, strict=True)
        ):
            return known
        pending = [(subset, continuation) for continuation, subset in continuations.items()]
        node.transitions, node.successors, node.result = (
            tuple(transitions),
            tuple(successors),
            Result(out, pending, depends_on, in_a_loop=any(each.result.in_a_loop for _, each in transitions)),
        )
        return node

    def _intersection(self, packets: Set, result: Result) -> Set:
        if packets == self.space.all or result.out == self.space.none:
            return result.out
        key = packets, result.out
        if key not in self._intersections:
            self._intersections[key] = packets & result.out
        return self._intersections[key]

    def _shares(
        self, entries: TableEntries, state: State
    ) -> tuple[tuple[tuple[Set, Entry], ...], tuple[Entry, ...], Set | None]:
        """The packets that match each entry; the entries that are shadowed; and the packets that match two entries of
        equal priority that differ in effect."""
        if entries.is_uniform:
            return ((self.space.all, entries.entries[0]),), (), None
        fields = dict(state.fields)
        candidates = entries.candidates(lambda name: _known_value(name, fields, state))
        if state.stack and any(
            _known_value(name, fields, state) is None for entry in candidates for name in entry.label_conditions
        ):
            raise NotModelledError("an entry matches the traffic class or TTL of a label")
        if all(isinstance(label, int) for label, _ in state.stack) and "vlan_vid" in fields and not state.stripped:
            overwritten = any(not is_pipeline_field(name) for name in fields)
            shares = None if overwritten else self.partition.of(candidates, labelled=bool(state.stack))
        else:
            shares = None
        if shares is None:
            shares = self.partition.among(
                [(entry.priority, self._match_set(entry, fields, state)) for entry in candidates]
            )
        ambiguous = None
        for one, other, both in shares.ambiguous:
            if candidates[one].effect != candidates[other].effect:
                ambiguous = both if ambiguous is None else ambiguous | both
        pairs = list(zip(shares.taken, candidates, strict=True))
        shadowed = tuple(entry for packets, entry in pairs if packets == self.space.none)
        return tuple(pair for pair in pairs if pair[0] != self.space.none), shadowed, ambiguous

    def _match_set(self, entry: Entry, fields: Mapping[str, object], state: State) -> Set:
        """The packets that match an entry where headers are not as they were sent."""
        found, space = self.space.all, self.space
        for name, value, mask in entry.pipeline_conditions:
            if name == "vlan_vid" and name not in fields:
                found &= space.match(name, value, mask)
            elif name == "mpls_label" and state.stack and isinstance(state.stack[-1][0], tuple):
                found &= space.equal(f"label{state.stack[-1][0][1]}", value, mask)
        for name, value, mask in entry.header_conditions:
            eth_type = MPLS if state.stack else fields.get("eth_type")
            if name == "eth_type" and eth_type is not None:
                fits = eth_type == value if mask is None else eth_type & mask == value  # type: ignore[operator]
                found = found if fits else space.none
            elif name in fields and not state.stack:
                known = fields[name]
                if not isinstance(known, int):
                    raise NotModelledError(f"a copied value of {name} is matched")
                fits = known == value if mask is None else known & mask == value
                found = found if fits else space.none
            elif eth_type is not None and not name.startswith("eth_"):
                return space.none  # the switch cannot parse it below labels
            else:
                found &= space.match(name, value, mask, inner=state.stripped)
        return found

    def execute(
        self, router: str, table: Table, effect: Effect, state: State, successors: list[Node] | None = None
    ) -> Result:
        """The result of ``effect`` for packets in ``state`` at ``table``; the next nodes are appended to
        ``successors``."""
        outer, self._record = self._record, _Record()
        execution = ActionExecutor(self, router, table, state)
        try:
            execution.run(*effect)
        except NotModelledError:
            execution.result.out = self.space.out(UNKNOWN)
            execution.result.depends_on |= self._record.depends_on
        record, self._record = self._record, outer
        if successors is not None:
            successors += execution.successors
        return record.of(execution.result)

    def group(self, router: str, id_: int, state: State) -> Result:
        """The result of group ``id_`` for packets in ``state``."""
        # One result for all label stacks: packets with different labels share groups.
        stack = (INNER_STACK,) if state.stack and state.stack[0] is not INNER_STACK else state.stack
        live = self.program.liveness[router].of_group(id_)
        key = router, id_, self.restricted(State(state.fields, stack, state.stripped), live)
        result = self._group_of(key)
        self._record.uses.append(GroupUse(key, result))
        return result

    def _group_of(self, key: tuple[str, int, State]) -> Result:
        """The result of a router's group for packets in a state with nothing in it but what is live there."""
        known = None
        if self.base is not None:
            known = self.base.group_results.get(key) or (
                None if self._is_changed else self.base.further_groups.get(key)
            )
        if known is not None and not known.depends_on & self.stale:
            return known
        found = self.group_results.get(key)
        if found is None:
            if key in self._in_progress:
                return Result(self.space.out(LOOPED), in_a_loop=True)
            self._in_progress.add(key)
            try:
                found = known if known is not None and self.holds(known) else self._group(*key)
            finally:  # an action that is not modelled concerns each use of the group
                self._in_progress.discard(key)
            if known is not None and not self._is_changed and found.is_equal(known):
                found = known
            self.group_results[key] = found
            if known is None and self._is_as_in_base(found):
                assert self.base is not None
                self.base.further_groups[key] = found
        return found

    def _group(self, router: str, id_: int, state: State) -> Result:
        group, depends_on = self.program.groups[router].get(id_), self.program.groups_bit(router)
        if group and any(isinstance(action, Foreign) for bucket in group.buckets for action in bucket.actions):
            return Result(self.space.out(UNKNOWN), depends_on=depends_on)  # it may concern the whole group
        outer, self._record = self._record, _Record()
        found = Result(self.space.none)
        try:
            for bucket in group.buckets if group else ():
                bit = self.program.port_bit(router, bucket.watch_port)
                depends_on |= bit
                if not self.is_down(bit):
                    execution = ActionExecutor(self, router, Table.ROUTE, state)
                    execution.run(bucket.actions, None, None)
                    found = execution.result
                    break
        except NotModelledError:
            outer.asked |= depends_on | self._record.depends_on  # of the list that leads here, which ends with it
            raise
        finally:
            record, self._record = self._record, outer
        found.depends_on |= depends_on
        return record.of(found)


def _by_effect(space: Space, shares: Iterable[tuple[Set, Entry]]) -> list[tuple[Set, Effect]]:
    """The packets of each effect: entries of equal effect are joined."""
    by_effect: dict[Effect, list[Set]] = {}
    for packets, entry in shares:
        by_effect.setdefault(entry.effect, []).append(packets)
    return [(space.any_of(each), effect) for effect, each in by_effect.items()]


def _known_value(name: str, fields: Mapping[str, object], state: State) -> int | None:
    """A pipeline field's value; None where it is not one number, -1 where packets do not have the field."""
    if name.startswith("mpls_"):
        if not state.stack:
            return -1
        label, tc = state.stack[-1]
        if name == "mpls_bos":
            return int(len(state.stack) == 1)
        value = {"mpls_label": label, "mpls_tc": tc}.get(name)
        return value if isinstance(value, int) else None
    if name == "vlan_vid" and name not in fields:
        return None
    value = fields.get(name, 0)
    if not isinstance(value, int):
        raise NotModelledError(f"a copied value of {name} is matched")
    return value
