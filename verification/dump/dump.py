"""The rules of all switches in one file: JSON lines, so that one rule can be found, changed and lost with any editor.

The first line says what it is and of what; the second has the whole network, the third the policy's text, so that
the file can be judged by itself, wherever it comes to. Then a line for each entry of each router:

    {"router": "oslo-1", "flow": {…}}        `helsewan.verification.dump.entry_json` has the words

Compressed with gzip it reads the same. Pure: bytes in and out.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from graphlib import CycleError, TopologicalSorter
from hashlib import sha256
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from helsewan.common.document import Document, dotted, loads
from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import explain, nearest
from helsewan.controller.openflow.entries import Action, AnyMeter, Entry, FlowRule, Group, GroupRule, RuleSet
from helsewan.controller.rules.paths import Failures
from helsewan.policies.compile import compile_policy, read_policy
from helsewan.policies.plan import Contract, Plan, TimedException
from helsewan.topology.exporters.formats import from_json, to_json
from helsewan.topology.model import Network, access_link_name
from helsewan.verification.dump import entry_json

VERSION = 1
MOST_BYTES = 512 * 1024 * 1024  # 10,000 sites have some 130 MB
_MOST_TOLD = 50  # problems; who has more has another file in hand
_GZIP, _GZIP_BITS = b"\x1f\x8b", 16 + zlib.MAX_WBITS
_HEAD_LINES = 3
NOTHING_DOWN = Failures()


@dataclass(frozen=True)
class Dump:
    """Rules by router id, of ``network`` under the policy whose text is ``policy``, at the ``moment`` that says which
    of its exceptions are in force. ``file`` is what the policy's places are told by, ``sources`` the ``file:line`` of
    its contracts and exceptions by name, and of where contracts begin by no name, before files that it includes became
    one; ``digest`` is its plan's. ``taken`` says where the rules are from, ``down`` what was down there;
    ``answers_neighbours`` is as in the plan."""

    network: Network
    policy: str
    file: str
    digest: str
    sources: Mapping[str, str]
    rules: Mapping[str, RuleSet] = field(repr=False)
    taken: str = "intended"
    down: Failures = field(default_factory=Failures)
    answers_neighbours: bool = True
    moment: datetime | None = None

    @classmethod
    def of(
        cls,
        plan: Plan,
        rules: Mapping[str, RuleSet],
        taken: str = "intended",
        down: Failures = NOTHING_DOWN,
        moment: datetime | None = None,
    ) -> Dump:
        """The dump of a plan's switches; ``moment`` is needed of a plan with exceptions only."""
        moment = moment if plan.exceptions else None
        sources = {"": plan.contracts_at} | {contract.name: contract.source for contract in plan.contracts}
        sources |= {exception.name: exception.source for exception in plan.exceptions}
        about = plan.network, plan.source, plan.file, plan.digest, sources
        return cls(*about, rules, taken, down, plan.answers_neighbours, moment)

    @property
    def plan(self) -> Plan:
        """What the policy says on the network. Raises InputError where the text is no policy of it, or another."""
        policy = read_policy(loads(self.policy.encode("utf-8", "surrogatepass"), self.file))
        plan = replace(
            compile_policy(policy, self.network, now=self.moment), answers_neighbours=self.answers_neighbours
        )
        if plan.digest != self.digest:
            hint = "name one with --policy, or put its digest into the first line"
            raise InputError(Problem(f"{self.file}: digest", plan.digest, f"is not the dump's, {self.digest}", hint))
        return replace(
            plan,
            contracts=tuple(replace(each, source=self._source(each)) for each in plan.contracts),
            exceptions=tuple(replace(each, source=self._source(each)) for each in plan.exceptions),
            contracts_at=self.sources.get("", plan.contracts_at),
        )

    def _source(self, entry: Contract | TimedException) -> str:
        return self.sources.get(entry.name, entry.source)


class _Of(BaseModel):
    """The identity of a network or policy."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    digest: str


class _Down(BaseModel):
    """The components that were unusable when the rules were read."""

    model_config = ConfigDict(extra="forbid", strict=True)

    links: list[str] = []
    routers: list[str] = []
    lines: list[str] = []
    """access lines of dual-homed sites, as ``site/wan0``"""


class _Head(BaseModel):
    """The first line."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["helsewan-rules/1"]
    """what the file is"""
    taken: str
    """where the rules are from"""
    network: _Of
    """whose rules they are"""
    seed: int
    """the network's"""
    sites: int
    """how many it has"""
    policy: _Of
    """what the rules are meant to do; named by its file"""
    moment: Annotated[AwareDatetime, Field(strict=False)] | None
    """at which the policy's exceptions are or are not in force"""
    down: _Down
    """what was down"""
    answers_neighbours: bool
    """whether switches answer IPv6 neighbours by themselves"""


class _Text(BaseModel):
    """The third line."""

    model_config = ConfigDict(extra="forbid", strict=True)

    policy: str
    """the policy's text"""
    sources: dict[str, str]
    """where its contracts and exceptions stand, by name"""


_Model = TypeVar("_Model", bound=BaseModel)


def write(dump: Dump) -> Iterator[bytes]:
    """The file, a line at a time."""
    network = _compact(json.loads(to_json(dump.network)))
    head = {
        "format": f"helsewan-rules/{VERSION}",
        "taken": dump.taken,
        "network": {"name": dump.network.name, "digest": _digest(network)},
        "seed": dump.network.seed,
        "sites": len(dump.network.sites),
        "policy": {"name": dump.file, "digest": dump.digest},
        "moment": None if dump.moment is None else dump.moment.isoformat(),
        "down": {
            "links": sorted(dump.down.links),
            "routers": sorted(dump.down.routers),
            "lines": sorted(access_link_name(*line) for line in dump.down.access_links),
        },
        "answers_neighbours": dump.answers_neighbours,
    }
    yield _line(json.dumps(head))
    yield _line(f'{{"network": {network}}}')
    yield _line(_compact({"policy": dump.policy, "sources": dump.sources}))
    for router, rules in dump.rules.items():
        for entry in rules:
            yield _line(json.dumps({"router": router, **entry_json.to_json(entry)}))


def read(raw: bytes, name: str) -> Dump:
    """The dump in a file's bytes; ``name`` is what errors call it. Raises InputError with a line for each entry that
    cannot be."""
    lines = _unpacked(raw, name).split(b"\n")
    problems: list[Problem] = []
    head, network, (policy, sources) = _read_head(lines, name)
    found: dict[str, list[tuple[int, Entry]]] = {router.id: [] for router in network.routers}
    for number, line in enumerate(lines[_HEAD_LINES:], start=_HEAD_LINES + 1):
        if not line.strip():
            continue
        try:
            router, entry = _read_entry(line, found)
            found[router].append((number, entry))
        except entry_json.Wrong as error:
            problems.append(_problem(error, f"{name}:{number}"))
    _raise_if_any(problems, name)
    _raise_if_any([each for router, held in found.items() for each in _inconsistent(router, held, name)], name)
    rules = {router: _ruleset([entry for _, entry in held]) for router, held in found.items()}
    return Dump(
        network,
        policy,
        head.policy.name,
        head.policy.digest,
        sources,
        rules,
        head.taken,
        _failures(head.down, network, name),
        head.answers_neighbours,
        head.moment,
    )


def _raise_if_any(problems: list[Problem], name: str) -> None:
    if problems:
        more = [Problem(name, None, f"has {len(problems) - _MOST_TOLD} problems more")] * (len(problems) > _MOST_TOLD)
        raise InputError(*problems[:_MOST_TOLD], *more)


def _read_head(lines: list[bytes], name: str) -> tuple[_Head, Network, tuple[str, dict[str, str]]]:
    """What the first lines say: the first, the network, and the policy's text with its sources."""
    data = [_parsed(line, f"{name}:{number}") for number, line in enumerate(lines[:_HEAD_LINES], start=1)]
    head = _fitting(_Head, data[0], f"{name}:1")
    for number, key in ((2, "network"), (3, "policy")):
        if len(data) < number or key not in data[number - 1]:
            raise InputError(Problem(f"{name}:{number}", None, f"is not the {key}", "dump the rules again"))
    text = _fitting(_Text, data[2], f"{name}:3")
    network = _compact(data[1]["network"])
    if head.network.digest != (digest := _digest(network)):
        hint = f"where it was changed on purpose, write {digest} into the first line"
        raise InputError(Problem(f"{name}:2", digest, f"is not {head.network.digest}, as in the first line", hint))
    return head, from_json(network, f"{name}:2"), (text.policy, text.sources)


def _fitting(model: type[_Model], data: dict[str, Any], where: str) -> _Model:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        document = Document(where, data)
        raise InputError(*(explain(document, model, each) for each in error.errors(include_url=False))) from None


def _read_entry(line: bytes, routers: Mapping[str, object]) -> tuple[str, Entry]:
    try:
        data = _decoded(line)
    except (ValueError, RecursionError) as error:
        raise entry_json.Wrong((), None, f"is not JSON: {error}", "one object a line") from None
    if not isinstance(data, dict) or "router" not in data:
        raise entry_json.Wrong((), None, "should be a map with a router and an entry")
    router = data.pop("router")
    if not isinstance(router, str) or router not in routers:
        hint = nearest(router, routers) if isinstance(router, str) else ""
        raise entry_json.Wrong(("router",), router, "is no router of this network", hint)
    return router, entry_json.from_json(data)


def _decoded(line: bytes) -> Any:
    """JSON, in which no object has a key twice. Raises ValueError or RecursionError."""
    return _DECODER.decode(line.decode())


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ."""
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"{twice!r} stands twice in one object")
    return made


_DECODER = json.JSONDecoder(object_pairs_hook=_once)  # one for all: to make one takes longer than to read a line


def _failures(down: _Down, network: Network, name: str) -> Failures:
    """What was down, by names that the network has."""
    lines = {access_link_name(*line): line for ports in network.access_link_ports.values() for line in ports}
    named: dict[str, tuple[list[str], Mapping[str, object]]] = {
        "links": (down.links, network.link),
        "routers": (down.routers, network.router),
        "lines": (down.lines, lines),
    }
    problems = [
        Problem(f"{name}:1: down.{what}[{place}]", each, "is not of this network", nearest(each, known))
        for what, (given, known) in named.items()
        for place, each in enumerate(given)
        if each not in known
    ]
    if problems:
        raise InputError(*problems)
    return Failures(
        frozenset(down.links), frozenset(down.routers), access_links=frozenset(lines[each] for each in down.lines)
    )


def _inconsistent(router: str, held: list[tuple[int, Entry]], name: str) -> Iterator[Problem]:
    """Entries of one switch that another one is in the way of, or that refer to what is not there."""
    first: dict[object, int] = {}
    for number, entry in held:
        key = _identity(entry)
        if (before := first.setdefault(key, number)) != number:
            yield Problem(f"{name}:{number}", None, f"is what line {before} is to a switch", "remove one of them")
    for number, entry in held:
        for path, what, referred in _references(entry):
            if (what, referred) not in first:
                hint = f"add the {what}, or name another one of {router}'s"
                yield Problem(f"{name}:{number}: {dotted(path)}", referred, f"is no {what} of {router}", hint)
    groups = {entry.id: entry for _, entry in held if isinstance(entry, GroupRule)}
    handed = {each.id: [group for _, _, group in _references(each)] for each in groups.values()}
    try:
        TopologicalSorter(handed).prepare()
    except CycleError as error:
        (again, *_) = circle = error.args[1]
        way = " to ".join(map(str, reversed(circle)))
        line = first["group", again]
        yield Problem(f"{name}:{line}", None, f"hands packets in a circle: group {way}", "no switch takes that")


def _identity(entry: Entry) -> object:
    """What a switch tells entries apart by."""
    if isinstance(entry, FlowRule):
        return entry.table, entry.priority, frozenset(entry.match)
    return "group" if isinstance(entry, GroupRule) else "meter", entry.id


def _references(entry: Entry) -> Iterator[tuple[entry_json.Path, str, int]]:
    """The groups and the meter that an entry needs, and where it says so."""
    if isinstance(entry, FlowRule):
        yield from _groups(entry.actions, ("flow", "actions"))
        if entry.meter is not None:
            yield ("flow", "meter"), "meter", entry.meter
    elif isinstance(entry, GroupRule):
        for number, bucket in enumerate(entry.buckets):
            yield from _groups(bucket.actions, ("group", "buckets", number, "actions"))


def _groups(actions: tuple[Action, ...], path: entry_json.Path) -> Iterator[tuple[entry_json.Path, str, int]]:
    for number, action in enumerate(actions):
        if isinstance(action, Group):
            yield (*path, number, "group"), "group", action.id


def _ruleset(held: list[Entry]) -> RuleSet:
    return RuleSet(
        tuple(entry for entry in held if isinstance(entry, AnyMeter)),
        tuple(entry for entry in held if isinstance(entry, GroupRule)),
        tuple(entry for entry in held if isinstance(entry, FlowRule)),
    )


def _problem(error: entry_json.Wrong, where: str) -> Problem:
    value = None if isinstance(error.value, dict | list) else error.value
    return Problem(f"{where}: {dotted(error.path)}" if error.path else where, value, error.reason, error.hint)


def _unpacked(raw: bytes, name: str) -> bytes:
    """A file's bytes, of a compressed one what is in it."""
    if raw.startswith(_GZIP):
        unpacking = zlib.decompressobj(_GZIP_BITS)
        try:
            raw = unpacking.decompress(raw, MOST_BYTES + 1)
        except zlib.error as error:
            raise InputError(Problem(name, None, f"cannot be unpacked: {error}")) from None
        if not unpacking.eof and len(raw) <= MOST_BYTES:
            raise InputError(Problem(name, None, "ends in the middle", "copy or dump it again"))
    if len(raw) > MOST_BYTES:
        raise InputError(Problem(name, None, f"has more than {MOST_BYTES} bytes"))
    return raw


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    try:
        data = _decoded(line)
    except (ValueError, RecursionError) as error:
        raise InputError(
            Problem(where, None, f"is no line of rules: {error}", "`helsewan rules dump` writes them")
        ) from None
    if not isinstance(data, dict):
        raise InputError(Problem(where, None, "is no line of rules", "`helsewan rules dump` writes them"))
    return data


def _compact(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _line(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass") + b"\n"
