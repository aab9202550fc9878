"""Schema of what calls and conferences send: video frames, and the IP version of any datagrams."""

from __future__ import annotations

import re
from enum import Enum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from helsewan.common.units import UnitError
from helsewan.policies.language.schema import Share
from helsewan.scenarios.spec.values import Strict

IPV6_DATAGRAM_BYTES = 1452  # UDP payload of a 1500-byte IPv6 packet


class Sending(str, Enum):
    """How a video frame's datagrams are sent."""

    PACED = "paced"  # spread evenly until the next frame
    BURST = "burst"  # all at once


def _group_of_pictures(text: str) -> str:
    if re.fullmatch("I[PB]*", text) is None:
        raise UnitError("is no group of pictures", "write an I, then Ps and Bs, for example IBBPBBP")
    return text


class FramesSpec(Strict):
    """The frames of an H.264-like video stream. Sizes are lognormal, as studies of encoded video find them (for one
    Hindawi Complexity 2017, 8098574); ratios and variation are assumptions for meetings with little motion."""

    gop: Annotated[str, AfterValidator(_group_of_pictures), Field(max_length=300)] = "I" + 24 * "P"
    """a group of pictures in the order shown, again and again; meetings use no B frames, which add delay"""
    i: Annotated[float, Field(gt=0, le=100)] = 5.0
    """mean size of an I frame, in P frames"""
    b: Annotated[float, Field(gt=0, le=100)] = 0.5
    """mean size of a B frame, in P frames"""
    variation: Share = 0.3
    """standard deviation of the sizes of one type over their mean"""


class DatagramsOf(Strict):
    """What all entries of datagrams have: the IP version of their pairs."""

    family: Literal[4, 6, "both"] = 4
    """IPv4, IPv6, or some pairs over one and some over the other"""
    ipv6_share: Share | None = None
    """the share of pairs that use IPv6, with family both (half of them otherwise)"""

    @model_validator(mode="after")
    def _share_of_both(self) -> Self:
        if self.ipv6_share is not None and self.family != "both":
            raise UnitError("has an ipv6_share, which says nothing with one family", "write family: both")
        return self

    @property
    def share_of_6(self) -> float:
        """The share of its pairs that use IPv6."""
        if self.family == "both":
            return 0.5 if self.ipv6_share is None else self.ipv6_share
        return float(self.family == 6)
