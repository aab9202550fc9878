"""Values and the base of all schemas of scenario files. Unknown keys and wrong types are refused."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from helsewan.common.units import SIZE, parse_size_bytes
from helsewan.policies.language.schema import Duration, quantity

MAX_DURATION_US = 24 * 3600 * 1_000_000
MOST_RUNS = 1_000  # repetitions of one scenario
MAX_DATAGRAM_BYTES = 1472  # UDP payload of a 1500-byte IPv4 packet
MIN_DATAGRAM_BYTES = 24  # the flow engine's header

_SIZE = quantity(SIZE, "64 kB", "a size with its unit")
Size = Annotated[int, BeforeValidator(parse_size_bytes), Field(ge=1, le=10**9), _SIZE]
DatagramSize = Annotated[
    int, BeforeValidator(parse_size_bytes), Field(ge=MIN_DATAGRAM_BYTES, le=MAX_DATAGRAM_BYTES), _SIZE
]
Count = Annotated[int, Field(strict=True, ge=1, le=100_000)]
Interval = Annotated[Duration, Field(ge=1_000)]


class Strict(BaseModel):
    """A part of a scenario file: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, use_attribute_docstrings=True)
