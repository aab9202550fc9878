"""Parses YAML text to plain data with line numbers; strict, and bounded in size and depth.

Stricter than PyYAML's loaders: plain scalars follow the core schema of YAML 1.2, so that
``no`` is text and ``12:30`` is not a number of seconds; keys are always text; a repeated key, a tag,
a merge key or a second document is an error; aliases are expanded within bounds on size and depth.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import yaml

from helsewan.common.errors import InputError, Problem
from helsewan.common.library_words import yaml_reason

Path = tuple[str | int, ...]

MAX_DEPTH = 64
MAX_VALUES = 200_000  # scalars, lists and maps, with aliases expanded

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


@dataclass
class Tree:
    """Plain data and, for the path of every value in it, the line (from 1) it starts on."""

    data: Any
    lines: dict[Path, int]


@dataclass
class _Open:
    """A list or map that is not closed yet."""

    value: list[Any] | dict[str, Any]
    path: Path
    anchor: str | None
    first: int  # values read before it
    key: str | None = None


@dataclass
class _Builder:
    """Builds the tree from parser events, without recursion."""

    name: str
    most_values: int = MAX_VALUES
    lines: dict[Path, int] = field(default_factory=dict)
    anchors: dict[str, tuple[Any, int]] = field(default_factory=dict)
    stack: list[_Open] = field(default_factory=list)
    documents: int = 0
    values: int = 0
    data: Any = None

    def fail(self, mark: Any, value: object, reason: str, hint: str) -> InputError:
        return InputError(Problem(f"{self.name}:{mark.line + 1}:{mark.column + 1}", value, reason, hint))

    def take(self, event: Any) -> None:
        """Handle one parser event."""
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self.fail(event.start_mark, None, "a second document starts here", "keep one document a file")
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            closed = self.stack.pop()
            if closed.anchor is not None:
                self.anchors[closed.anchor] = (closed.value, self.values - closed.first)
        elif isinstance(event, yaml.AliasEvent):
            self.alias(event)
        elif isinstance(event, yaml.NodeEvent):
            self.node(event)

    def node(self, event: Any) -> None:
        """A scalar, or the start of a list or map."""
        if event.tag not in (None, "!"):
            raise self.fail(event.start_mark, event.tag, "tags are not allowed", "write plain values")
        if self.awaits_key():
            self.start_key(event)
            return
        self.count(event, 1)
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event.value) if event.implicit[0] else event.value
            self.place(event, value)
            if event.anchor is not None:
                self.anchors[event.anchor] = (value, 1)
            return
        if len(self.stack) == MAX_DEPTH:
            raise self.fail(event.start_mark, None, f"is nested deeper than {MAX_DEPTH} levels", "flatten the file")
        container: list[Any] | dict[str, Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        path = self.place(event, container)
        self.stack.append(_Open(container, path, event.anchor, self.values - 1))

    def alias(self, event: Any) -> None:
        if self.awaits_key():
            raise self.fail(event.start_mark, "*" + event.anchor, "an alias cannot be a key", "write the key as text")
        if event.anchor not in self.anchors:
            reason = "alias without a complete anchored value above it"
            raise self.fail(event.start_mark, "*" + event.anchor, reason, f"put &{event.anchor} on an earlier value")
        if any(open_.anchor is not None for open_ in self.stack):
            reason = "an alias is not allowed inside an anchored value"
            raise self.fail(event.start_mark, "*" + event.anchor, reason, "write the value out")
        value, size = self.anchors[event.anchor]
        self.count(event, size)
        self.place(event, value)

    def count(self, event: Any, values: int) -> None:
        self.values += values
        if self.values > self.most_values:
            reason = f"the file expands to more than {self.most_values} values"
            raise self.fail(event.start_mark, None, reason, "use fewer aliases")

    def awaits_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].value, dict) and self.stack[-1].key is None

    def start_key(self, event: Any) -> None:
        top = self.stack[-1]
        if not isinstance(event, yaml.ScalarEvent):
            raise self.fail(event.start_mark, None, "a list or map cannot be a key", "write the key as text")
        if event.value == "<<" and event.implicit[0]:
            raise self.fail(event.start_mark, "<<", "merge keys are not allowed", "write the keys out")
        path = (*top.path, str(event.value))
        if event.value in top.value:
            hint = f"it is first given on line {self.lines[path]}"
            raise self.fail(event.start_mark, event.value, "key is repeated", hint)
        top.key = event.value
        self.lines[path] = self.line(event)

    def line(self, event: Any) -> int:
        return int(event.start_mark.line) + 1

    def place(self, event: Any, value: Any) -> Path:
        """Store ``value`` at the current position; returns its path."""
        path: Path = ()
        if not self.stack:
            self.data = value
        else:
            top = self.stack[-1]
            if isinstance(top.value, list):
                path = (*top.path, len(top.value))
                top.value.append(value)
            elif top.key is not None:
                path = (*top.path, top.key)
                top.value[top.key] = value
                top.key = None
        self.lines.setdefault(path, self.line(event))
        return path


def parse(text: str, name: str, most_values: int = MAX_VALUES) -> Tree:
    """The tree of a YAML text; ``name`` is its name in error messages. Raises ``InputError``."""
    builder = _Builder(name, most_values)
    try:
        for event in yaml.parse(text, Loader=_Loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        # At an unexpected end of text the problem mark is behind the last line; the context mark is inside the text.
        marks = [mark for mark in (error.problem_mark, error.context_mark) if mark is not None]
        mark = next((mark for mark in marks if mark.line < len(text.splitlines())), marks[-1])
        # libyaml reads ahead and has limits of its own: report an error of this module before its position first.
        with suppress(yaml.MarkedYAMLError):
            before = _Builder(name, most_values)
            for event in yaml.parse(text[: mark.index], Loader=_Loader):
                before.take(event)
        raise builder.fail(mark, None, yaml_reason(error), "check the text just before it") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(Problem(f"{name}:{line}", None, yaml_reason(error), "remove the character")) from None
    if builder.documents == 0:
        raise InputError(Problem(f"{name}:1", None, "the file is empty", "write at least one key"))
    return Tree(builder.data, builder.lines)


def _scalar(text: str) -> str | int | float | bool | None:
    """A plain scalar's value by YAML 1.2's core schema (section 10.3.2); infinities stay text."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text) and len(text) < 20:
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
