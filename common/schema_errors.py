"""Validates documents against pydantic models; each validation error becomes a `Problem` with its line and a hint."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from helsewan.common import yaml_tree
from helsewan.common.document import Document
from helsewan.common.errors import InputError, Problem
from helsewan.common.library_words import schema_reason
from helsewan.common.suggestions import closest, hints_left, hints_limited
from helsewan.common.units import (
    UnitError,
    format_duration,
    format_rate,
    format_size,
    parse_duration_us,
    parse_rate_bps,
    parse_share,
    parse_size_bytes,
)

Model = TypeVar("Model", bound=BaseModel)

_QUOTED = re.compile(r"'([^']*)'")
_MOST_NAMED = 40  # names that a hint lists
_MOST_EXPLAINED = 500  # problems of one document; many more than are ever shown
_LIKE_OTHERS = "does not fit the schema either"


class SchemaError(InputError):
    """Input that does not fit its schema; ``paths`` has the location in the data of each problem, in order."""

    def __init__(self, faults: Sequence[tuple[yaml_tree.Path, Problem]]) -> None:
        self.paths = tuple(path for path, _ in faults)
        super().__init__(*(problem for _, problem in faults))


def validate(document: Document, model: type[Model]) -> Model:
    """The document as an instance of ``model``. Raises one ``SchemaError`` with a problem for every
    key that does not fit: file, line, key, offending value, reason and hint; of a great many, the last have no
    value and no hint."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        own = [detail for detail in details if not _follows(detail, details)]
        with hints_limited():
            problems = [explain(document, model, detail) for detail in own[:_MOST_EXPLAINED]]
        problems += [Problem(document.where(detail["loc"]), None, _LIKE_OTHERS) for detail in own[_MOST_EXPLAINED:]]
        raise SchemaError([(detail["loc"], problem) for detail, problem in zip(own, problems, strict=True)]) from None


def _follows(detail: ErrorDetails, others: Sequence[ErrorDetails]) -> bool:
    """Whether a "too short" error of a list only follows from errors in its entries, which pydantic does not count."""
    depth = len(detail["loc"])
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > depth and other["loc"][:depth] == detail["loc"] for other in others
    )


def explain(document: Document, model: type[BaseModel], error: ErrorDetails) -> Problem:
    """One pydantic error as a problem in ``document``, which was validated against ``model``."""
    path = _in_document(document.data, error["loc"])
    value = _shown(error["input"])
    if error["type"] == "missing":
        path, value = [*path, str(error["loc"][-1])], None
    elif error["type"] == "extra_forbidden":
        value = None
    elif error["type"] == "union_tag_invalid":
        path, value = [*path, _discriminator(error)], error["ctx"]["tag"]
    reason, hint = _WRITERS.get(error["type"], _plain)(model, error)
    return Problem(document.where(path), value, reason, hint)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint with the known name closest to ``name`` or, if none is close, with up to 40 of the known names; none
    beyond the limit of `hints_limited`."""
    if not hints_left():
        return ""
    names = sorted(known)
    folded = {candidate.casefold(): candidate for candidate in names}
    if close := closest(name.casefold(), folded):
        return f"did you mean {folded[close]!r}?"
    more = [f"{len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else []
    return "one of " + ", ".join([*names[:_MOST_NAMED], *more]) if names else ""


def _in_document(data: Any, loc: tuple[int | str, ...]) -> list[str | int]:
    """Pydantic's error location without the elements that are not in the data, such as union tags."""
    path: list[str | int] = []
    for part in loc:
        in_map = isinstance(data, dict) and part in data
        if in_map or (isinstance(data, list) and isinstance(part, int) and part < len(data)):
            data = data[part]
            path.append(part)
    return path


def _shown(value: object) -> object:
    """A value fit for one line of an error message; a list or map is not."""
    return None if isinstance(value, dict | list | BaseModel) else value


def _missing(model: type[BaseModel], error: ErrorDetails) -> tuple[str, str]:
    key = str(error["loc"][-1])
    for owner in _models_at(model, error["loc"][:-1]):
        field = _fields(owner).get(key)
        if field is not None and field.description:
            return "is missing", f"add {key}: {field.description}"
    return "is missing", f"add {key}"


def _unknown_key(model: type[BaseModel], error: ErrorDetails) -> tuple[str, str]:
    known = {name for owner in _models_at(model, error["loc"][:-1]) for name in _fields(owner)}
    return "unknown key", nearest(str(error["loc"][-1]), known)


def _not_allowed(model: type[BaseModel], error: ErrorDetails) -> tuple[str, str]:
    context = error["ctx"]
    allowed = _QUOTED.findall(str(context.get("expected") or context.get("expected_tags")))
    value = context.get("tag", error["input"])
    listed = "one of " + ", ".join(allowed)
    guess = nearest(value, allowed) if isinstance(value, str) else listed
    return "is not allowed", guess if guess.startswith("one of") else f"{guess} {listed}"


def _no_tag(model: type[BaseModel], error: ErrorDetails) -> tuple[str, str]:
    return f"key {_discriminator(error)} is missing", "it selects the kind of entry"


def _discriminator(error: ErrorDetails) -> str:
    return str(error["ctx"]["discriminator"]).strip("'")


def _refused(model: type[BaseModel], error: ErrorDetails) -> tuple[str, str]:
    """Reason and hint of a ValueError raised by a validator, where it has them (as ``units.UnitError`` does)."""
    cause = error.get("ctx", {}).get("error")
    return str(getattr(cause, "reason", cause)), str(getattr(cause, "hint", ""))


def _out_of_bounds(model: type[BaseModel], error: ErrorDetails) -> tuple[str, str]:
    """The bound in the unit that the value has, if it is a quantity: inside it is a number of the base unit."""
    context = dict(error["ctx"])
    for parse, show in _QUANTITIES:
        with suppress(UnitError):
            parse(error["input"])
            return schema_reason(error["type"], {name: show(bound) for name, bound in context.items()}), ""
    return schema_reason(error["type"], context), ""


_QUANTITIES: Sequence[tuple[Callable[[object], float], Callable[[Any], str]]] = (
    (parse_duration_us, format_duration),
    (parse_rate_bps, format_rate),
    (parse_size_bytes, format_size),
    (parse_share, lambda share: f"{share * 100:g} %"),
)


def _plain(model: type[BaseModel], error: ErrorDetails) -> tuple[str, str]:
    reason = schema_reason(error["type"], error.get("ctx", {}))
    hint = "put it in quotes" if error["type"] == "string_type" and _shown(error["input"]) is not None else ""
    return reason, hint


_WRITERS: Mapping[str, Callable[[type[BaseModel], ErrorDetails], tuple[str, str]]] = {
    "missing": _missing,
    "extra_forbidden": _unknown_key,
    "enum": _not_allowed,
    "literal_error": _not_allowed,
    "union_tag_invalid": _not_allowed,
    "union_tag_not_found": _no_tag,
    **dict.fromkeys(("greater_than", "greater_than_equal", "less_than", "less_than_equal"), _out_of_bounds),
    "value_error": _refused,
    "assertion_error": _refused,
}


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """A model's fields by the key used in files (the alias, if any)."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _models_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[type[BaseModel]]:
    """The models that are possible at a pydantic location below ``model``."""
    types: list[Any] = [model]
    for part in loc:
        types = [below for kind in types for below in _step(kind, part)]
    return [kind for kind in types if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _step(kind: Any, part: int | str) -> Iterator[Any]:
    """The types reached from ``kind`` by one element of a location; ``kind`` itself for a union's tag."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = _fields(kind).get(str(part))
        if field is not None:
            yield from _alternatives(field.annotation)
        elif part == kind.__name__ or _has_tag(kind, part):
            yield kind
        return
    for argument in get_args(kind)[-1:] if get_origin(kind) is dict else get_args(kind):
        yield from _alternatives(argument)


def _alternatives(annotation: Any) -> Iterator[Any]:
    """An annotation's types, with ``Annotated`` unwrapped and unions split."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for argument in get_args(annotation):
            yield from _alternatives(argument)
    else:
        yield annotation


def _has_tag(model: type[BaseModel], tag: int | str) -> bool:
    """Whether one of the model's ``Literal`` fields is ``tag``, as in a discriminated union."""
    return any(
        get_origin(field.annotation) is Literal and tag in get_args(field.annotation)
        for field in model.model_fields.values()
    )
