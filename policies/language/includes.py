"""Merges a file with the files it includes into one document that keeps the file and line of every value.

Files are layers: a file overrides those it includes, and later includes override earlier ones. A file first removes
what its ``remove`` names, then merges its own entries: entries of the same name are merged key by key, and a key's
value is replaced as a whole. ``name`` and ``description`` are not inherited. All files are of one
`Grammar`: policies, or scenarios.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from helsewan.common.document import MAX_BYTES, Document, SourcePosition
from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import nearest, validate
from helsewan.common.yaml_writer import to_yaml
from helsewan.policies.language.grammar import INCLUDE_KEYS, Grammar
from helsewan.policies.language.refusal import Refusal
from helsewan.policies.language.schema import ALL, IncludeKeys

Path = tuple[str | int, ...]

MAX_FILES = 32
MAX_DEPTH = 8  # levels of nested includes


class Source(NamedTuple):
    """A document, and the unique id of its file."""

    document: Document
    id: str


Open = Callable[[str, Source], Source]
"""Opens what a source includes by a name. Raises ``Refusal`` where it may not or cannot, and ``InputError`` for what is
wrong in the file."""


@dataclass(frozen=True)
class MergedDocument(Document):
    """A document merged from several. ``positions`` also has removed paths, with the position of the removal."""

    positions: Mapping[Path, SourcePosition] = field(repr=False, default_factory=dict)

    def position(self, path: Sequence[str | int] = ()) -> SourcePosition:
        """Position of the value at ``path`` or, if it is not in the files, of the nearest enclosing value."""
        return self.positions[self.known(path)]


def resolve(source: Source, open_: Open, grammar: Grammar) -> Document:
    """``source`` merged with its includes. Raises ``InputError`` with all invalid includes and removals."""
    document = source.document
    if not isinstance(document.data, dict) or not INCLUDE_KEYS & document.data.keys():
        return document
    sources = _Sources(open_, grammar)
    sources.add(source, ())
    merged = _Entry(0, document, {})
    positions: dict[Path, SourcePosition] = {}
    if not sources.problems:
        for layer, (included, _) in zip(reversed(range(len(sources.found))), sources.found, strict=True):
            merged = _without(merged, layer, included, positions, sources.problems, grammar)
            merged = _overlaid(merged, _entries_of(layer, included, (), included.data, grammar))
    if sources.problems:
        raise InputError(*sources.problems)
    positions |= _positions(merged)
    own = {key: document.data[key] for key in grammar.own if key in document.data}
    data = {**own, **_data(merged, ())}
    lines = {path: position.line for path, position in positions.items()}
    return MergedDocument(document.name, data, lines, to_yaml(data), positions)


@dataclass
class _Sources:
    """The files found, each once, included files before those that include them."""

    open: Open
    grammar: Grammar
    found: list[Source] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    tried: int = 0

    def add(self, source: Source, above: tuple[str, ...]) -> None:
        """Add a file and its includes; ``above`` has the ids of the files that include it, outermost first."""
        document = source.document
        try:
            keys = {key: document.data[key] for key in INCLUDE_KEYS & document.data.keys()}
            names = validate(Document(document.name, keys, document.lines), IncludeKeys).include
        except InputError as error:
            self.problems += error.problems
            return
        for number, name in enumerate(names):
            path = ("include", number) if isinstance(document.data["include"], list) else ("include",)
            try:
                self._include(name, source, (*above, source.id))
            except Refusal as refusal:
                self.problems.append(Problem(document.where(path), name, refusal.reason, refusal.hint))
            except InputError as error:
                self.problems += error.problems
        self.found.append(source)

    def _include(self, name: str, source: Source, above: tuple[str, ...]) -> None:
        noun = self.grammar.noun
        self.tried += 1
        if self.tried > MAX_FILES:
            raise Refusal(f"is more than the {MAX_FILES} includes that a {noun} may have", "write some into one file")
        if len(above) > MAX_DEPTH:
            raise Refusal(f"is included more than {MAX_DEPTH} files deep", "include it from an outer file")
        included = self.open(name, source)
        if included.id in above:
            raise Refusal("includes this file again, in a cycle", "remove one of the includes")
        if not isinstance(included.document.data, dict):
            raise Refusal(f"is no {noun}", f"a {noun} is a map of keys to values")
        if any(included.id == each.id for each in self.found):
            return
        if sum(len(each.document.text) for each in (*self.found, included)) > MAX_BYTES:
            raise Refusal(f"makes the {noun} longer than {MAX_BYTES} characters", "include less")
        self.add(included, above)


@dataclass(frozen=True)
class _Entry:
    """A merged value: from one layer or, for sections and their entries, composed of ``parts``."""

    layer: int
    document: Document
    parts: Mapping[str, _Entry] | None


def _entries_of(layer: int, document: Document, path: Path, value: Any, grammar: Grammar) -> _Entry:
    """The value of a layer, split into the parts that other layers can replace."""
    parts = None
    if isinstance(value, dict) and (len(path) < 2 or (len(path) == 2 and path[0] in grammar.named_sections)):
        keys = value.keys() if path else value.keys() - INCLUDE_KEYS
        parts = {key: _entries_of(layer, document, (*path, key), value[key], grammar) for key in value if key in keys}
    return _Entry(layer, document, parts)


def _overlaid(under: _Entry | None, over: _Entry) -> _Entry:
    """Merge two parts of the same path; ``over`` takes precedence."""
    if under is None or under.parts is None or over.parts is None:
        return over
    parts = {key: _overlaid(under.parts.get(key), part) for key, part in over.parts.items()}
    return _Entry(over.layer, over.document, {**under.parts, **parts})


def _without(
    merged: _Entry,
    layer: int,
    document: Document,
    positions: dict[Path, SourcePosition],
    problems: list[Problem],
    grammar: Grammar,
) -> _Entry:
    """The merged value without keys that are not inherited, and without removals, whose positions are added to
    ``positions``."""
    sections = {key: part for key, part in (merged.parts or {}).items() if key not in grammar.own}
    for at, path in _removals(document, problems, grammar):
        parent = sections if len(path) == 1 else dict((sections.get(path[0]) or merged).parts or {})
        if path[-1] not in parent or path[0] not in sections:
            known = parent if path[0] in sections or len(path) == 1 else ()
            reason = "is in nothing that this file includes"
            problems.append(Problem(document.where(at), path[-1], reason, nearest(path[-1], known)))
            continue
        del parent[path[-1]]
        if len(path) == 2:
            sections[path[0]] = replace(sections[path[0]], parts=parent)
        _, file, line = document.position(at)
        positions[path] = SourcePosition(layer, file, line)
    return _Entry(layer, document, sections)


def _removals(document: Document, problems: list[Problem], grammar: Grammar) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The removals of a layer: path of the removal, and path of the removed section or entry."""
    for section, names in document.data.get("remove", {}).items():
        at = ("remove", section)
        if section not in grammar.sections:
            reason = f"is no section of a {grammar.noun}"
            problems.append(Problem(document.where(at), None, reason, nearest(section, grammar.sections)))
        elif names == ALL:
            yield at, (section,)
        elif section in grammar.named_sections:
            yield from (((*at, number), (section, name)) for number, name in enumerate(names))
        else:
            problems.append(Problem(document.where(at), None, "has no entries", f"write {ALL} to remove the section"))


def _data(part: _Entry, path: Path) -> Any:
    """The plain data of a part."""
    if part.parts is not None:
        return {key: _data(below, (*path, key)) for key, below in part.parts.items()}
    value = part.document.data
    for key in path:
        value = value[key]
    return value


def _positions(merged: _Entry) -> dict[Path, SourcePosition]:
    """Positions of all merged values."""
    found: dict[Path, SourcePosition] = {}
    inside: dict[int, Mapping[Path, Sequence[Path]]] = {}  # by layer: the paths below each path

    def visit(part: _Entry, path: Path) -> None:
        document = part.document
        if part.parts is None:
            if part.layer not in inside:
                inside[part.layer] = _beneath(document)
            beneath = inside[part.layer][path]
            found.update({each: SourcePosition(part.layer, document.name, document.lines[each]) for each in beneath})
            return
        found[path] = SourcePosition(part.layer, *document.position(path)[1:])
        for key, below in part.parts.items():
            visit(below, (*path, key))

    visit(merged, ())
    return found


def _beneath(document: Document) -> Mapping[Path, Sequence[Path]]:
    """The paths of a document by their prefixes of up to three keys, the paths of parts."""
    found: dict[Path, list[Path]] = defaultdict(list)
    for path in document.lines:
        for length in range(1, min(len(path), 3) + 1):
            found[path[:length]].append(path)
    return found
