"""The rules of all switches in one file: JSON lines, so that one rule can be found, changed or deleted with any editor.

The first line is a header; the second has the whole network, the third the policy's text, so that the file suffices for
a verification. Then there is a line for each entry of each router:

    {"router": "oslo-1", "flow": {…}}        `helsewan.verification.dump.entry_json` defines the format

Files compressed with gzip are read, too. Pure: bytes in and out.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from helsewan.common.document import Document, dotted, loads
from helsewan.common.errors import InputError, Problem
from helsewan.common.library_words import json_reason
from helsewan.common.schema_errors import explain, nearest
from helsewan.controller.openflow.entries import AnyMeter, Entry, FlowRule, GroupRule, Port, RuleSet
from helsewan.controller.rules.paths import Failures
from helsewan.policies.compile import compile_policy, read_policy
from helsewan.policies.plan import Contract, Plan, TimedException
from helsewan.topology.exporters.formats import from_json, to_json
from helsewan.topology.model import Network, access_link_name
from helsewan.verification.dump import entry_json
from helsewan.verification.dump.consistency import inconsistencies
from helsewan.verification.dump.observed import contradictions

VERSION = 2
_OLD = "helsewan-rules/1"
_NOT_IN_OLD = "timeouts of flow entries and ports (a dump of format 1 lacks them: dump the rules again)"
MAX_BYTES = 512 * 1024 * 1024  # 10,000 sites have some 130 MB
_MAX_PROBLEMS = 50  # that are reported; with more, the file is probably of another kind
_GZIP, _GZIP_BITS = b"\x1f\x8b", 16 + zlib.MAX_WBITS
_HEAD_LINES = 3
NO_FAILURES = Failures()
_INTENDED = "intended"  # the rules of no switch


@dataclass(frozen=True)
class Dump:
    """Rules by router id, of ``network`` under the policy whose text is ``policy``, compiled at ``time``, which decides
    which of its exceptions are in force. ``file`` is the policy's name in messages. ``sources`` has the ``file:line``
    of its contracts and exceptions by name, and of the beginning of its contracts by the empty name; these are
    locations in the original files, before included ones were merged. ``digest`` is the plan's. ``taken`` says where
    the rules are from, ``down`` what had failed there; ``answers_neighbours`` is as in the plan. ``lacks`` is what the
    file's format does not record, so that nothing is proved about it."""

    network: Network
    policy: str
    file: str
    digest: str
    sources: Mapping[str, str]
    rules: Mapping[str, RuleSet] = field(repr=False)
    taken: str = _INTENDED
    down: Failures = field(default_factory=Failures)
    answers_neighbours: bool = True
    time: datetime | None = None
    lacks: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        plan: Plan,
        rules: Mapping[str, RuleSet],
        taken: str = _INTENDED,
        down: Failures = NO_FAILURES,
        time: datetime | None = None,
    ) -> Dump:
        """The dump of a plan's switches; ``time`` is used only for a plan with exceptions."""
        time = time if plan.exceptions else None
        sources = {"": plan.contracts_at} | {contract.name: contract.source for contract in plan.contracts}
        sources |= {exception.name: exception.source for exception in plan.exceptions}
        about = plan.network, plan.source, plan.file, plan.digest, sources
        return cls(*about, rules, taken, down, plan.answers_neighbours, time)

    def plan_at(self, at: datetime) -> Plan:
        """The plan of the policy at another time, when other exceptions are in force. Raises InputError as `plan`."""
        return self._sourced(self._compiled(at))

    @property
    def plan(self) -> Plan:
        """The plan, compiled from the policy's text. Raises InputError if the text is not a valid policy for the
        network, or if the digest of the plan is another one."""
        plan = self._compiled(self.time)
        if plan.digest != self.digest:
            hint = "name one with --policy, or put its digest into the first line"
            raise InputError(Problem(f"{self.file}: digest", plan.digest, f"is not the dump's, {self.digest}", hint))
        return self._sourced(plan)

    def _compiled(self, time: datetime | None) -> Plan:
        policy = read_policy(loads(self.policy.encode("utf-8", "surrogatepass"), self.file))
        return replace(compile_policy(policy, self.network, now=time), answers_neighbours=self.answers_neighbours)

    def _sourced(self, plan: Plan) -> Plan:
        """The plan with the files and lines of the policy from which the dump was made."""
        return replace(
            plan,
            contracts=tuple(replace(each, source=self._source(each)) for each in plan.contracts),
            exceptions=tuple(replace(each, source=self._source(each)) for each in plan.exceptions),
            contracts_at=self.sources.get("", plan.contracts_at),
        )

    def _source(self, entry: Contract | TimedException) -> str:
        return self.sources.get(entry.name, entry.source)


class _Identity(BaseModel):
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
    """access links of dual-homed sites, as ``site/wan0``"""


class _Head(BaseModel):
    """The first line."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["helsewan-rules/1", "helsewan-rules/2"]
    """format and version; the first one has no ports and no timeouts"""
    taken: str
    """where the rules are from"""
    network: _Identity
    """the network that the rules are for"""
    seed: int
    """of the network"""
    sites: int
    """number of sites of the network"""
    policy: _Identity
    """the policy that the rules implement; its name is that of its file"""
    moment: Annotated[AwareDatetime, Field(strict=False)] | None
    """time that decides which of the policy's exceptions are in force"""
    down: _Down
    """what had failed"""
    answers_neighbours: bool
    """whether switches answer IPv6 neighbour solicitations themselves"""


class _Text(BaseModel):
    """The third line."""

    model_config = ConfigDict(extra="forbid", strict=True)

    policy: str
    """the policy's text"""
    sources: dict[str, str]
    """``file:line`` of its contracts and exceptions, by name"""


_Model = TypeVar("_Model", bound=BaseModel)


def write(dump: Dump) -> Iterator[bytes]:
    """The lines of the file."""
    network = _compact(json.loads(to_json(dump.network)))
    head = {
        "format": f"helsewan-rules/{VERSION}",
        "taken": dump.taken,
        "network": {"name": dump.network.name, "digest": _digest(network)},
        "seed": dump.network.seed,
        "sites": len(dump.network.sites),
        "policy": {"name": dump.file, "digest": dump.digest},
        "moment": None if dump.time is None else dump.time.isoformat(),
        "down": {
            "links": sorted(dump.down.links),
            "routers": sorted(dump.down.routers),
            "lines": sorted(access_link_name(*each) for each in dump.down.access_links),
        },
        "answers_neighbours": dump.answers_neighbours,
    }
    yield _line(json.dumps(head))
    yield _line(f'{{"network": {network}}}')
    yield _line(_compact({"policy": dump.policy, "sources": dump.sources}))
    for router, rules in dump.rules.items():
        for entry in (*rules.ports, *rules):
            yield _line(json.dumps({"router": router, **entry_json.to_json(entry)}))


def read(raw: bytes, name: str) -> Dump:
    """The dump in a file's bytes; ``name`` is the file's name in messages. Raises InputError with a problem for each
    invalid entry."""
    lines = _decompressed(raw, name).split(b"\n")
    problems: list[Problem] = []
    head, network, (policy, sources) = _read_head(lines, name)
    found: dict[str, list[tuple[int, Entry | Port]]] = {router.id: [] for router in network.routers}
    for number, line in enumerate(lines[_HEAD_LINES:], start=_HEAD_LINES + 1):
        if not line.strip():
            continue
        try:
            router, entry = _read_entry(line, found)
            found[router].append((number, entry))
        except entry_json.EntryError as error:
            problems.append(_problem(error, f"{name}:{number}"))
    _raise_if_any(problems, name)
    _raise_if_any([each for router, entries in found.items() for each in inconsistencies(router, entries, name)], name)
    rules = {router: _ruleset([entry for _, entry in entries]) for router, entries in found.items()}
    down = _failures(head.down, network, name)
    _raise_if_any(list(contradictions(network, rules, down, name)), name)
    return Dump(
        network,
        policy,
        head.policy.name,
        head.policy.digest,
        sources,
        rules,
        head.taken,
        down,
        head.answers_neighbours,
        head.moment,
        (_NOT_IN_OLD,) if head.format == _OLD and head.taken != _INTENDED else (),
    )


def _raise_if_any(problems: list[Problem], name: str) -> None:
    if len(problems) > _MAX_PROBLEMS:
        more = Problem(name, None, f"has {len(problems) - _MAX_PROBLEMS} problems more")
        raise InputError(*problems[:_MAX_PROBLEMS], more)
    if problems:
        raise InputError(*problems)


def _read_head(lines: list[bytes], name: str) -> tuple[_Head, Network, tuple[str, dict[str, str]]]:
    """The first three lines: the header, the network, and the policy's text with its sources."""
    data = [_parsed(line, f"{name}:{number}") for number, line in enumerate(lines[:_HEAD_LINES], start=1)]
    head = _validated(_Head, data[0], f"{name}:1")
    for number, key in ((2, "network"), (3, "policy")):
        if len(data) < number or key not in data[number - 1]:
            raise InputError(Problem(f"{name}:{number}", None, f"is not the {key}", "dump the rules again"))
    text = _validated(_Text, data[2], f"{name}:3")
    network = _compact(data[1]["network"])
    if head.network.digest != (digest := _digest(network)):
        hint = f"where it was changed on purpose, write {digest} into the first line"
        raise InputError(Problem(f"{name}:2", digest, f"is not {head.network.digest}, as in the first line", hint))
    return head, from_json(network, f"{name}:2"), (text.policy, text.sources)


def _validated(model: type[_Model], data: dict[str, Any], where: str) -> _Model:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        document = Document(where, data)
        raise InputError(*(explain(document, model, each) for each in error.errors(include_url=False))) from None


def _read_entry(line: bytes, routers: Mapping[str, object]) -> tuple[str, Entry | Port]:
    try:
        data = _decoded(line)
    except _DuplicateKey as error:
        raise entry_json.EntryError((), None, f"is not JSON: {error}", "one object a line") from None
    except (ValueError, RecursionError) as error:
        raise entry_json.EntryError((), None, json_reason(error), "one object a line") from None
    if not isinstance(data, dict) or "router" not in data:
        raise entry_json.EntryError((), None, "should be a map with a router and an entry")
    router = data.pop("router")
    if not isinstance(router, str) or router not in routers:
        hint = nearest(router, routers) if isinstance(router, str) else ""
        raise entry_json.EntryError(("router",), router, "is no router of this network", hint)
    return router, entry_json.from_json(data)


def _decoded(line: bytes) -> Any:
    """A line's JSON. Raises ValueError, also for an object with a duplicate key, or RecursionError."""
    return _DECODER.decode(line.decode())


class _DuplicateKey(ValueError):
    """An object with a duplicate key."""


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, from its pairs. Raises ValueError for a duplicate key."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise _DuplicateKey(f"{twice!r} is twice in one object")
    return found


# Shared: creating one takes longer than reading a line.
_DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates)


def _failures(down: _Down, network: Network, name: str) -> Failures:
    """What had failed. Raises InputError for names that the network does not have."""
    access_links = {access_link_name(*each): each for ports in network.access_link_ports.values() for each in ports}
    named: dict[str, tuple[list[str], Mapping[str, object]]] = {
        "links": (down.links, network.link),
        "routers": (down.routers, network.router),
        "lines": (down.lines, access_links),
    }
    problems = [
        Problem(f"{name}:1: down.{what}[{index}]", each, "is not of this network", nearest(each, known))
        for what, (given, known) in named.items()
        for index, each in enumerate(given)
        if each not in known
    ]
    if problems:
        raise InputError(*problems)
    return Failures(
        frozenset(down.links),
        frozenset(down.routers),
        access_links=frozenset(access_links[each] for each in down.lines),
    )


def _ruleset(entries: list[Entry | Port]) -> RuleSet:
    return RuleSet(
        tuple(entry for entry in entries if isinstance(entry, AnyMeter)),
        tuple(entry for entry in entries if isinstance(entry, GroupRule)),
        tuple(entry for entry in entries if isinstance(entry, FlowRule)),
        tuple(entry for entry in entries if isinstance(entry, Port)),
    )


def _problem(error: entry_json.EntryError, where: str) -> Problem:
    value = None if isinstance(error.value, dict | list) else error.value
    return Problem(f"{where}: {dotted(error.path)}" if error.path else where, value, error.reason, error.hint)


def _decompressed(raw: bytes, name: str) -> bytes:
    """A file's bytes, decompressed if they are compressed. Raises InputError."""
    if raw.startswith(_GZIP):
        decompressor = zlib.decompressobj(_GZIP_BITS)
        try:
            raw = decompressor.decompress(raw, MAX_BYTES + 1)
        except zlib.error as error:
            raise InputError(Problem(name, None, f"cannot be unpacked: {error}")) from None
        if not decompressor.eof and len(raw) <= MAX_BYTES:
            raise InputError(Problem(name, None, "is truncated", "copy or dump it again"))
    if len(raw) > MAX_BYTES:
        raise InputError(Problem(name, None, f"has more than {MAX_BYTES} bytes"))
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
