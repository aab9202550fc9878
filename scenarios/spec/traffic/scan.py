"""Schema of scans: one site that sends datagrams to ports of many others, as a worm does."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from helsewan.policies.language.schema import Selector
from helsewan.scenarios.spec.traffic.media import DatagramsOf
from helsewan.scenarios.spec.values import Count, DatagramSize, Interval

Port = Annotated[int, Field(strict=True, ge=1, le=65_535)]


class ScanSpec(DatagramsOf):
    """Datagrams from one site to some ports of many sites, one target after the other. Those that the policy denies
    must not arrive; a control for every port shows that it would hear them."""

    kind: Literal["scan"]
    source: Selector = Field(alias="from")
    """the sites of which one, drawn by the seed, is the source"""
    targets: Selector = Field(alias="to")
    """the sites that are scanned"""
    count: Count
    """how many sites are scanned"""
    ports: Annotated[tuple[Port, ...], Field(min_length=1, max_length=100)] = (1434,)
    """UDP ports; by default that of the Slammer worm of 2003 (CERT CA-2003-04)"""
    every: Interval
    """time from one datagram to the next, of whatever target"""
    size: DatagramSize = 376
    """UDP payload; by default Slammer's"""
    control_every: Interval = 1_000_000
    """time from one datagram of a control to the next"""
