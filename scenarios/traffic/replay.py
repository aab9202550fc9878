"""Plans replays of captures: which address is which site, which flows there are, and what the policy denies of them.

Reads the captures once. The same for the same files, policy, network and seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from ipaddress import ip_address
from pathlib import Path
from random import Random

from helsewan.common.document import Document
from helsewan.common.errors import InputError, Problem
from helsewan.lab.captures.capture_file import CaptureRefused
from helsewan.lab.captures.conversations import replay_events
from helsewan.lab.captures.survey import Survey, frame_bytes, survey
from helsewan.lab.flows.replay_plan import Extent, Host, Pace, ReplayMode, ReplayPlan
from helsewan.policies.language.schema import Selector
from helsewan.policies.passes.selection import Population
from helsewan.policies.passes.selectors import unknown_values, why_nobody
from helsewan.policies.plan import Plan
from helsewan.scenarios.spec.traffic.replay import AutoMap, CapturePrefix, ReplaySpec
from helsewan.scenarios.traffic.replay_flows import FlowMaker
from helsewan.scenarios.traffic.replay_mapping import (
    AutoMapper,
    Exchanged,
    HostBook,
    NoRoom,
    by_owner,
    by_prefix,
    longest_match,
)
from helsewan.scenarios.traffic.replay_told import EXAMPLES, check_packets, keep_conversations, mtu_bytes, told
from helsewan.topology.model import Site

_CACHED = 1 << 16


@dataclass(frozen=True)
class ReplayPlanner:
    """Plans the replays of one scenario; flows are numbered within each replay."""

    plan: Plan
    document: Document
    seed: int
    duration_us: int
    book: HostBook

    @cached_property
    def population(self) -> Population:
        """The network's sites, for selectors."""
        return Population(self.plan.network)

    def replay(self, entry: str, spec: ReplaySpec) -> ReplayPlan:
        """The plan of entry ``entry``. Raises InputError for files that are refused, and for a map that does not
        fit."""
        beside = Path(self.document.position(("traffic", entry, "file")).file).parent
        files = tuple((beside / name).absolute() for name in spec.file)
        sites = {} if isinstance(spec.map, AutoMap) else self._selected(entry, spec.map)
        maker = FlowMaker(self.plan, entry)
        try:
            least_mtu = min(map(mtu_bytes, self.plan.network.sites))
            found = survey(files, maker.service_ports, self._wanted(spec.map), least_mtu)
            if spec.mode is ReplayMode.PAYLOAD:
                keep_conversations(found)
            hosts = self._hosts(entry, spec, sites, found)
            flows, flow_of = maker.flows(found.kinds, hosts)
            check_packets(found, flow_of, hosts, self.plan.network, spec.mode)
        except CaptureRefused as error:
            raise self._refused(entry, error) from None
        if not flows:
            raise self._nothing_mapped(entry, found)
        kinds = [found.kinds[key] for key in flow_of]
        extent = Extent(
            packets=sum(each.packets for each in kinds),
            frame_bytes=sum(map(frame_bytes, kinds)),
            first_ns=min(each.first_ns for each in kinds),
            last_ns=max(each.last_ns for each in kinds),
        )
        pace = Pace(spec.speed or 1.0, spec.rate, spec.loops, spec.start)
        made = ReplayPlan(
            entry=entry,
            files=files,
            mode=spec.mode,
            pace=pace,
            hosts=hosts,
            flow_of=flow_of,
            flows=flows,
            service_ports=maker.service_ports,
            mtu_bytes={host.site: mtu_bytes(self.plan.network.site[host.site]) for host in hosts.values()},
            extent=extent,
            told=told(spec.mode, found, flow_of, flows, extent.ends_us(pace), self.duration_us),
        )
        if spec.mode is ReplayMode.PAYLOAD:
            self._check_streams(entry, made)
        return made

    def _check_streams(self, entry: str, plan: ReplayPlan) -> None:
        """Raises InputError where the capture lacks a part of a TCP stream."""
        try:
            for _ in replay_events(replace(plan, pace=Pace())):
                pass
        except CaptureRefused as error:
            raise self._refused(entry, error) from None

    def _refused(self, entry: str, error: CaptureRefused) -> InputError:
        where = self.document.where(("traffic", entry, "file"))
        return InputError(Problem(f"{where}: {error.place}", None, error.reason, error.hint))

    def _selected(self, entry: str, map_: Mapping[CapturePrefix, Selector]) -> dict[CapturePrefix, list[Site]]:
        """The sites of each prefix. Raises InputError for selectors with unknown values or without sites."""
        problems: list[Problem] = []
        chosen: dict[CapturePrefix, list[Site]] = {}
        for prefix, selector in map_.items():
            path = ("traffic", entry, "map", str(prefix))
            unknown = list(unknown_values(selector, self.population))
            problems += [
                Problem(self.document.where((*path, each.key, each.place)), each.value, each.reason, each.hint)
                for each in unknown
            ]
            ids = self.population.select(selector)
            chosen[prefix] = [site for site in self.plan.network.sites if site.id in ids]
            if not ids and not unknown:
                reason = why_nobody(selector, self.population)[0]
                problems.append(Problem(self.document.where(path), None, reason, "select other sites"))
        if problems:
            raise InputError(*problems)
        return chosen

    def _wanted(self, map_: Mapping[CapturePrefix, Selector] | AutoMap) -> Callable[[bytes], bool]:
        """A function that tells whether an address of a capture may be mapped."""
        if map_ is AutoMap.AUTO:
            return lambda address: True
        if isinstance(map_, AutoMap):
            prefixes: list[CapturePrefix] = [prefix for site in self.plan.network.sites for prefix in site.prefixes]
        else:
            prefixes = list(map_)
        return lru_cache(_CACHED)(lambda address: longest_match(ip_address(address), prefixes) is not None)

    def _hosts(
        self, entry: str, spec: ReplaySpec, sites: Mapping[CapturePrefix, Sequence[Site]], found: Survey
    ) -> dict[bytes, Host]:
        addresses = dict.fromkeys(address for key in found.kinds for address in key[:2])  # in order of appearance
        try:
            if spec.map is AutoMap.AUTO:
                exchanged = [Exchanged(key, each.ip_bytes) for key, each in found.kinds.items()]
                return AutoMapper(self.plan, self.book).map(exchanged)
            if spec.map is AutoMap.SAME:
                return by_owner(addresses, self.plan, self.book)
            return by_prefix(addresses, sites, self.book, Random(f"{self.seed}:{entry}"))
        except NoRoom as error:
            where = self.document.where(("traffic", entry, "map"))
            reason = f"has too few addresses for the {len(addresses):,} of the capture: {error} has no more"
            raise InputError(Problem(where, None, reason, "map to more sites, or fewer addresses")) from None

    def _nothing_mapped(self, entry: str, found: Survey) -> InputError:
        where = self.document.where(("traffic", entry, "map"))
        reason = f"maps none of the {found.passed.packets:,} packets of the capture to two sites"
        some = ", ".join(str(ip_address(address)) for address in sorted(found.unwanted)[:EXAMPLES])
        return InputError(Problem(where, None, reason, f"addresses in it: {some}" if some else ""))
