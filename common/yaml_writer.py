"""Writes plain data as YAML text that parses back to equal data, here and by other programs.

The only writer of YAML files. YAML 1.1 and 1.2 read some plain words differently (``08``, ``1e3``, ``0o17``, ``yes``,
dates): every text that is not plainly text in both is quoted.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_PLAIN = re.compile(r"[A-Za-z][\w./-]*|[0-9]+(\.[0-9]+)? [A-Za-z%][A-Za-z/]*", re.ASCII)
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_WIDTH = 120
_Base = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def to_yaml(data: Any) -> str:
    """``data`` as YAML text. Strings that other YAML parsers might not read as strings are quoted."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)


class _Dumper(_Base):  # type: ignore[misc, valid-type]
    def ignore_aliases(self, data: Any) -> bool:
        """No aliases: the text is to be read by people."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


def _map(dumper: yaml.SafeDumper, data: dict[str, Any]) -> yaml.Node:
    """Maps without nested maps in flow style (on one line)."""
    flow = not any(isinstance(value, dict) or _holds_map(value) for value in data.values())
    return dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=flow)


def _list(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=not _holds_map(data))


def _holds_map(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(each, dict) for each in value)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(dict, _map)
_Dumper.add_representer(list, _list)
