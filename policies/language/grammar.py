"""What a kind of file consists of whose files may include one another: its sections, and which have named entries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import get_origin

from pydantic import BaseModel

from helsewan.policies.language.schema import IncludeKeys, PolicySpec

INCLUDE_KEYS = frozenset(IncludeKeys.model_fields)


@dataclass(frozen=True)
class Grammar:
    """Files of ``model``, one of which is called ``noun``; keys in ``own`` are not inherited."""

    noun: str
    model: type[BaseModel]
    own: tuple[str, ...] = ("name", "description")

    @cached_property
    def sections(self) -> frozenset[str]:
        """Keys whose values are inherited."""
        keys = {field.alias or name for name, field in self.model.model_fields.items()}
        return frozenset(keys - INCLUDE_KEYS - {*self.own})

    @cached_property
    def named_sections(self) -> frozenset[str]:
        """Sections that have entries by name."""
        fields = {field.alias or name: field for name, field in self.model.model_fields.items()}
        return frozenset(name for name in self.sections if get_origin(fields[name].annotation) is dict)


POLICY = Grammar("policy", PolicySpec)
