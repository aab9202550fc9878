"""Schema of ``kind: program``: a real program that runs at a site, and what is expected of it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from helsewan.common.units import UnitError
from helsewan.policies.language.schema import Duration
from helsewan.scenarios.spec.timeline.actions import Words
from helsewan.scenarios.spec.values import Interval, Strict


def _as_words(value: Any) -> Any:
    """Numbers in a list of words are words."""
    if not isinstance(value, list):
        return value
    return [str(each) if isinstance(each, int | float) and not isinstance(each, bool) else each for each in value]


_WORDS = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": ["string", "number"]}, "minItems": 1}]}
)


def _contains(value: Any) -> Any:
    """A plain text is one that the output must contain."""
    return {"contains": value} if isinstance(value, str) else value


class OutputSpec(Strict):
    """What an output must have in it, one of these."""

    contains: Annotated[str, Field(min_length=1)] | None = None
    """a text"""
    regex: Annotated[str, Field(min_length=1)] | None = None
    """a regular expression of Python, that some part of the output matches; ``^`` and ``$`` are those of a line"""

    @field_validator("regex")
    @classmethod
    def _readable(cls, text: str | None) -> str | None:
        try:
            re.compile(text or "")
        except (re.error, RecursionError, OverflowError) as error:
            raise UnitError(f"is no regular expression: {error}", "write for example ' 0% packet loss'") from None
        return text

    @model_validator(mode="after")
    def _one(self) -> OutputSpec:
        if (self.contains is None) == (self.regex is None):
            raise UnitError("is not exactly one text to look for", "give a text, or regex")
        return self

    def found_in(self, output: str) -> bool:
        """Whether ``output`` has it."""
        if self.contains is not None:
            return self.contains in output
        return re.search(self.regex or "", output, re.MULTILINE) is not None

    def __str__(self) -> str:
        return f"contains {self.contains!r}" if self.contains is not None else f"matches {self.regex!r}"


Output = Annotated[OutputSpec, BeforeValidator(_contains, json_schema_input_type=str | OutputSpec)]


class ExpectSpec(Strict):
    """What is expected of a program, all of these."""

    exit: Annotated[int, Field(strict=True, ge=0, le=255)] | None = None
    """its exit status; 128 and more for a signal, as shells have it"""
    stdout: Output | None = None
    """what it prints"""
    stderr: Output | None = None
    """what it prints on standard error"""

    @model_validator(mode="after")
    def _something(self) -> ExpectSpec:
        if not self.model_fields_set:
            raise UnitError("expects nothing", "give exit, stdout or stderr")
        return self

    def __str__(self) -> str:
        parts = [f"exit {self.exit}"] if self.exit is not None else []
        parts += [f"stdout {self.stdout}"] if self.stdout else []
        parts += [f"stderr {self.stderr}"] if self.stderr else []
        return ", ".join(parts)


class ProgramSpec(Strict):
    """A program that runs at a site, without a shell; it is ended, with all that it started, at its timeout or with the
    run. Its outputs are kept in the run's directory."""

    kind: Literal["program"]
    site: str
    """the site's id"""
    run: Annotated[Words, BeforeValidator(_as_words), _WORDS]
    """the program and its arguments, as a list or a text; ``${site:ID.address}`` stands for a site's address, and what
    names a file beside the scenario's for that file"""
    at: Duration = 0
    """when it is started"""
    timeout: Interval | None = None
    """after what time it is ended; without it, with the run"""
    expect: ExpectSpec | None = None
    """what the run checks of it"""
