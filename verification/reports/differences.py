"""Differences between the rules' and the policy's packet sets as findings: the kind of error, and a witness packet."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from helsewan.controller.openflow.entries import FlowRule, RuleSet, Table
from helsewan.controller.openflow.pipeline import Purpose, purpose_of
from helsewan.policies.plan import Contract, Plan
from helsewan.topology.model import AccessLinkId, Site
from helsewan.verification.concrete.fabric import End, Fabric, Trace
from helsewan.verification.concrete.lookup import AmbiguousMatchError
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.concrete.switch import NotModelledError, Switch
from helsewan.verification.expected.expected_sets import Allowed, Expectation
from helsewan.verification.expected.owners import PrefixOwners
from helsewan.verification.failures import INTACT
from helsewan.verification.findings import FailureCase, FindingKind, VerificationFinding
from helsewan.verification.symbolic.header_space import Set, packet_of
from helsewan.verification.symbolic.states import AMBIGUOUS, FAULTS, LOOPED, LOST, MISMARKED, UNKNOWN, WRONG_TTL

_KIND_OF_FAULT = {
    LOOPED: FindingKind.LOOP,
    LOST: FindingKind.LOST,
    MISMARKED: FindingKind.MISMARKED,
    AMBIGUOUS: FindingKind.AMBIGUOUS,
    UNKNOWN: FindingKind.UNMODELLED,
    WRONG_TTL: FindingKind.TTL,
}
_LOOPS_TRIED = 8
_LIKELY_PORT, _LIKELY_BYTES, _ACK, _SYN = 40_000, 100, 0x10, 0x02


@dataclass(frozen=True)
class Differences:
    """Converts differences to findings for one policy and the switches that implement it, by router."""

    plan: Plan
    switches: MutableMapping[str, Switch]
    expectation: Expectation

    @cached_property
    def owners(self) -> PrefixOwners:
        """The sites by their prefixes."""
        return PrefixOwners(self.plan.network.sites)

    def of(self, case: FailureCase) -> CaseDifferences:
        """The differences of one case of failures."""
        return CaseDifferences(self, case, Fabric(self.plan.network, self.switches, case.failures))

    def having(self, router: str, held: RuleSet) -> Differences:
        """The same with other rules on one router."""
        changed = SwitchesWhenNeeded({router: held})
        return Differences(self.plan, ChainMap(changed, self.switches), self.expectation)

    def unreadable(self, rules: Iterable[tuple[str, FlowRule]]) -> Iterator[VerificationFinding]:
        """Findings for entries that match fields which the packet sets do not represent."""
        for router, rule in rules:
            says = "an entry matches a field that is not modelled: nothing is proved for packets that match it"
            yield VerificationFinding(FindingKind.UNMODELLED, INTACT.name, says, "", where=f"{router}: {rule}")

    def policy(self, site: Site, towards: Site | None, packet: Set) -> tuple[str, str]:
        """What the policy says of packets from a site to a site (None: to no site), and the location in its file."""
        whole = f"policy {self.plan.policy}"
        if towards is None:
            return f"{whole}: no site has this address, so nothing may be sent there", self.plan.contracts_at
        mine, theirs = (self.plan.role_of_site[each.id] for each in (site, towards))
        space = self.expectation.space
        for allowed in self.expectation.allowed.get((mine.id, theirs.id), ()):
            if allowed.packets & packet != space.none:
                return self._allows(allowed), allowed.contract.source
        return self._denies(mine.id, theirs.id, packet)

    def _allows(self, allowed: Allowed) -> str:
        what = "opens" if allowed.opens else "lets replies of"
        contract = allowed.contract
        return f"contract {contract.name} {what} {contract.service}{'' if allowed.opens else ' pass'}"

    def _denies(self, mine: int, theirs: int, packet: Set) -> tuple[str, str]:
        """The statement that no contract allows the packet, or that one allows it from another role, and its
        location."""
        none = self.expectation.space.none
        names = {role.id: role.name for role in self.plan.roles}
        for (sender, receiver), each in self.expectation.allowed.items():
            if receiver != theirs or sender == mine:
                continue
            for allowed in each:
                if allowed.packets & packet != none:
                    contract = allowed.contract
                    says = f"contract {contract.name} allows it from {names[sender]}, and none from {names[mine]}"
                    return says, contract.source
        says = f"policy {self.plan.policy}: no contract allows it from {names[mine]} to {names[theirs]}"
        return says, self.plan.contracts_at


class SwitchesWhenNeeded(dict[str, Switch]):
    """The interpreter's switches, each created when the first packet reaches it."""

    def __init__(self, rules: Mapping[str, RuleSet]) -> None:
        super().__init__()
        self._rules = rules

    def __missing__(self, router: str) -> Switch:
        self[router] = Switch.of(self._rules[router])
        return self[router]


Key = tuple[str, FindingKind, int, int]  # case name, kind of finding, source role and destination role


def merged(
    parts: Iterable[Mapping[Key, VerificationFinding]], places: Mapping[AccessLinkId, int]
) -> list[VerificationFinding]:
    """Merges the findings of several parts of the access links into those of all. Each keeps the witness of the first
    access link, in the order of ``places``."""
    found: dict[Key, VerificationFinding] = {}
    for part in parts:
        for key, finding in part.items():
            other = found.get(key, finding)
            first = min(finding, other, key=lambda each: places.get((each.site, each.access_link), -1))
            found[key] = first if other is finding else replace(first, alike=finding.alike + other.alike + 1)
    return list(found.values())


@dataclass
class CaseDifferences:
    """The findings of one case: one for each kind and pair of roles, with the first packet that shows it."""

    of: Differences
    case: FailureCase
    fabric: Fabric
    found: dict[tuple[FindingKind, int, int], VerificationFinding] = field(default_factory=dict)
    pairs: dict[tuple[FindingKind, int, int], int] = field(default_factory=dict)

    def findings(self) -> dict[Key, VerificationFinding]:
        """The findings by key, each with the number of further pairs of sites that it holds for."""
        return {
            (self.case.name, *key): replace(finding, alike=self.pairs[key] - 1) for key, finding in self.found.items()
        }

    def add(self, line: AccessLinkId, became: Set, wanted: Set) -> None:
        """Records the differences for packets from an access link: ``became`` is the set by the rules, ``wanted`` that
        by the policy."""
        space = self.of.expectation.space
        faults = space.none
        for number in FAULTS:
            if (those := became & space.out(number)) != space.none:
                kind, shown = _KIND_OF_FAULT.get(number, FindingKind.LOST), those
                if kind is FindingKind.LOOP:
                    looping = self._looping(line, those)
                    kind, shown = (FindingKind.UNMODELLED, those) if looping is None else (kind, looping)
                self._note(kind, line, shown, fault=True)
                faults |= those
        more, less = became & ~wanted & ~faults, wanted & ~became
        if more != space.none:
            allowed = space.unmarked(
                wanted & space.unmarked(more)
            )  # the same packets to the same ends, with other marks
            self._note(FindingKind.MISMARKED, line, more & allowed)
            leaks = more & ~allowed
            elsewhere = leaks & space.packets(wanted & space.packets(leaks))
            self._note(FindingKind.MISDELIVERED, line, elsewhere)
            self._note(FindingKind.LEAK, line, leaks & ~elsewhere)
        if less != space.none:
            arrives = space.unmarked(became & space.unmarked(less))
            holes = less & ~arrives & ~space.packets(faults)
            opens = self._openings(line)
            self._note(FindingKind.BLACKHOLE, line, holes & opens)
            self._note(FindingKind.ONE_WAY, line, holes & ~opens)

    def _looping(self, line: AccessLinkId, relation: Set) -> Set | None:
        """One of the packets that the packet sets show to loop, which does loop; None if none of some of them does. The
        sets do not tell apart how many labels are below the top one: a packet that gets another one each time loops
        there, and is dropped when it has too many."""
        space, left = self.of.expectation.space, relation
        site = self.of.plan.network.site[line[0]]
        for _ in range(_LOOPS_TRIED):
            if left == space.none:
                return None
            packet = packet_of(space.example(left, self._likely(site)))
            trace = self._trace(site.id, packet, line[1])
            if trace is None or trace.end is End.LOOPED:
                return relation & space.of(packet)
            name = next((each for each in ("ipv4_dst", "ipv6_dst") if each in packet.fields), None)
            left &= ~(space.match(name, packet.fields[name]) if name else space.of(packet))
        return None

    def _openings(self, line: AccessLinkId) -> Set:
        """The packets by which the site of an access link may open a service, to any role."""
        role = self.of.plan.role_of_site[line[0]].id
        allowed = self.of.expectation.allowed
        space = self.of.expectation.space
        return space.any_of(
            each.packets for pair, all_ in allowed.items() if pair[0] == role for each in all_ if each.opens
        )

    def _note(self, kind: FindingKind, line: AccessLinkId, relation: Set, *, fault: bool = False) -> None:
        space, plan = self.of.expectation.space, self.of.plan
        if relation == space.none:
            return
        site, sites = plan.network.site[line[0]], plan.network.sites
        ends = () if fault else space.ends(relation)
        roles = {plan.role_of_site[sites[end].id].id: end for end in reversed(ends)} or {0: -1}
        for role, end in roles.items():
            key = kind, plan.role_of_site[site.id].id, role
            count = sum(plan.role_of_site[sites[each].id].id == role for each in ends) or 1
            self.pairs[key] = self.pairs.get(key, 0) + count
            if key not in self.found:
                those = relation if end < 0 else relation & space.out(end)
                self.found[key] = self._finding(kind, line, site, those)

    def _finding(self, kind: FindingKind, line: AccessLinkId, site: Site, relation: Set) -> VerificationFinding:
        space = self.of.expectation.space
        example = space.example(relation, self._likely(site))
        packet = packet_of(example)
        towards = self._owner(packet)
        says, source = self.of.policy(site, towards, space.of(packet))
        if kind is FindingKind.UNMODELLED:
            says = f"what the rules do to it is not modelled, so nothing is proved of it ({says})"
        elif kind is FindingKind.TTL:
            says = f"every router decrements a TTL once and never sets it; here one does otherwise ({says})"
        trace, role_of = self._trace(site.id, packet, line[1]), self.of.plan.role_of_site
        if kind in (FindingKind.LEAK, FindingKind.MISDELIVERED) and (passed_by := self._contract_on(trace)):
            says = f"{says}; the entry of contract {passed_by.name} ({passed_by.source}) lets it pass"
            source = passed_by.source if source == self.of.plan.contracts_at else source
        return VerificationFinding(
            kind=kind,
            case=self.case.name,
            reason=says,
            source=source,
            site=site.id,
            access_link=line[1],
            towards=towards.id if towards else None,
            packet=packet,
            trace=trace,
            roles=(role_of[site.id].name, role_of[towards.id].name if towards else None),
        )

    def _contract_on(self, trace: Trace | None) -> Contract | None:
        """The contract whose entry let a packet pass on its path, by the entry's cookie: where the rules break the
        intent. None if no contract's entry did."""
        for hop in trace.hops if trace else ():
            for rule in hop.visit.rules:
                if rule.table is Table.CONTRACT and rule.cookie >> 56 == Purpose.CONTRACT:
                    number = purpose_of(rule.cookie)[1]
                    return next((each for each in self.of.plan.contracts if each.id == number), None)
        return None

    def _trace(self, site: str, packet: Packet, line: int) -> Trace | None:
        """The interpreter's trace of a packet; None where it cannot compute it."""
        try:
            return self.fabric.trace_from(site, packet, line)
        except (AmbiguousMatchError, NotModelledError, ValueError):
            return None

    def _owner(self, packet: Packet) -> Site | None:
        fields = packet.fields
        name, version = ("ipv4_dst", 4) if "ipv4_dst" in fields else ("ipv6_dst", 6)
        return self.of.owners.of(version, fields[name]) if name in fields else None

    def _likely(self, site: Site) -> Iterator[Set]:
        """Constraints that make examples look like ordinary packets, the most important first."""
        space = self.of.expectation.space
        yield space.equal("vlan_vid", 0)
        yield space.equal("ip_frag", 0)
        yield space.match("ipv4_src", int(site.address4)) | space.match("ipv6_src", int(site.address6))
        own = [space.match("ipv4_dst", 2, 3), space.match("ipv6_dst", 2, 0xFFFF)]  # host addresses of sites
        yield own[0] | own[1]
        yield space.of_type((0x0800,))
        for port in ("tp_src", "tp_dst"):
            yield space.equal(port, _LIKELY_PORT)
        for flags in (_SYN, _ACK):
            yield space.equal("tcp_flags", flags)
        yield space.equal("icmp_code", 0)
        yield space.equal("ip_dscp", 0)
        yield space.equal("frame_bytes", _LIKELY_BYTES)
