"""Words of our own for what libraries find wrong: pydantic, json, expat, libyaml.

Libraries change their messages between versions, and write them for programmers. What they report is sorted into kinds
here; what is of no known kind gets a general sentence, never the library's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from xml.parsers import expat

_SCHEMA = {
    "string_type": "should be text",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_parsing_size": "is too large",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "finite_number": "should be a finite number",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "set_type": "should be a list",
    "frozen_set_type": "should be a list",
    "dict_type": "should be a map of keys to values",
    "model_type": "should be a map of keys to values",
    "dataclass_type": "should be a map of keys to values",
    "model_attributes_type": "should be a map of keys to values",
    "none_required": "should be empty",
    "too_short": "has too few entries",
    "too_long": "has too many entries",
    "string_too_short": "is too short",
    "string_too_long": "is too long",
    "string_pattern_mismatch": "has characters that are not allowed here",
    "ip_v4_network": "is no IPv4 network",
    "ip_v6_network": "is no IPv6 network",
    "ip_v4_address": "is no IPv4 address",
    "ip_v6_address": "is no IPv6 address",
    "json_invalid": "is not JSON",
    "json_type": "is not JSON",
    "missing": "is missing",
    "extra_forbidden": "unknown key",
}
_BOUNDS = {  # type -> the bound's name in the error's context, and the sentence
    "greater_than_equal": ("ge", "is less than {}"),
    "greater_than": ("gt", "is not more than {}"),
    "less_than_equal": ("le", "is more than {}"),
    "less_than": ("lt", "is not less than {}"),
    "multiple_of": ("multiple_of", "is no multiple of {}"),
}
_CHOICES = {"enum", "literal_error", "union_tag_invalid"}
_QUOTED = re.compile(r"'([^']*)'")

_XML = {
    expat.errors.XML_ERROR_NO_ELEMENTS: "it ends before its first element does",
    expat.errors.XML_ERROR_INVALID_TOKEN: "a character stands where none such can be",
    expat.errors.XML_ERROR_UNCLOSED_TOKEN: "a tag has no end",
    expat.errors.XML_ERROR_PARTIAL_CHAR: "it ends within a character",
    expat.errors.XML_ERROR_TAG_MISMATCH: "an element is closed by another one's tag",
    expat.errors.XML_ERROR_DUPLICATE_ATTRIBUTE: "an attribute is given twice",
    expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT: "something follows the end of its first element",
    expat.errors.XML_ERROR_UNDEFINED_ENTITY: "it names an entity that is not declared",
    expat.errors.XML_ERROR_UNKNOWN_ENCODING: "its encoding is not known",
    expat.errors.XML_ERROR_INCORRECT_ENCODING: "it is not in the encoding that it declares",
    expat.errors.XML_ERROR_UNBOUND_PREFIX: "a name's prefix is not declared",
    expat.errors.XML_ERROR_MISPLACED_XML_PI: "the XML declaration is not at its beginning",
    expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION: "a CDATA section has no end",
}

_YAML = (  # the first pattern found in what libyaml or PyYAML says decides
    ("flow sequence", "the list in brackets here is not continued or closed as it should be"),
    ("flow mapping", "the map in braces here is not continued or closed as it should be"),
    ("quoted scalar|escape", "the text in quotes here has no end, or an escape that YAML does not have"),
    ("block mapping|simple key|mapping values|mapping key", "this line does not fit into the map around it"),
    ("block collection|block sequence|sequence entries", "this line does not fit into the list around it"),
    ("block scalar", "the indented text here does not begin as it should"),
    (r"'\\t'|tab char", "a tab stands where only spaces may"),
    ("cannot start any token", "no value begins with this character: put the text in quotes"),
    ("anchor|alias", "an anchor or alias here has no name"),
    ("directive|document start", "this line is outside of the document"),
    ("tag", "a tag here has no end"),
)


def schema_reason(kind: str, context: Mapping[str, Any]) -> str:
    """Why a value does not fit its schema; ``kind`` and ``context`` are pydantic's ``type`` and ``ctx``."""
    if kind in _BOUNDS:
        name, sentence = _BOUNDS[kind]
        return sentence.format(_bound(context.get(name)))
    if kind in _CHOICES:
        allowed = _QUOTED.findall(str(context.get("expected") or context.get("expected_tags")))
        return f"should be one of {', '.join(allowed)}"
    if kind in ("value_error", "assertion_error"):
        return str(getattr(context.get("error"), "reason", context.get("error")))
    return _SCHEMA.get(kind, "is no value for this key")


def _bound(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def json_reason(error: ValueError | RecursionError) -> str:
    """Why a text is not JSON, with line and column where they are known."""
    if isinstance(error, json.JSONDecodeError):
        return f"is not JSON at line {error.lineno}, column {error.colno}"
    if isinstance(error, RecursionError):
        return "is not JSON that can be read: it is nested too deeply"
    return "is not JSON: it is not UTF-8" if isinstance(error, UnicodeError) else "is not JSON"


def xml_reason(code: int) -> str:
    """Why a text is not XML, for expat's error ``code``."""
    known = _XML.get(expat.errors.messages.get(code, ""))
    return f"is not XML: {known}" if known else "is not XML"


def yaml_reason(error: Any) -> str:
    """Why a text is not YAML, for a ``MarkedYAMLError`` or ``ReaderError``."""
    if not hasattr(error, "problem"):
        return "is not YAML: a control character or a broken one is not allowed"
    said = f"{error.problem} {error.context or ''}"
    found = next((ours for pattern, ours in _YAML if re.search(pattern, said)), None)
    return f"is not YAML: {found}" if found else "is not YAML"
