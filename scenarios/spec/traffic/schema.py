"""Schema of the traffic section: its kinds of entries. What depends on the policy is checked by ``traffic.flows``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from helsewan.common.units import UnitError
from helsewan.policies.language.schema import Rate
from helsewan.scenarios.spec.traffic.applications import (
    DicomSpec,
    EbxmlSpec,
    Hl7Spec,
    PrescriptionSpec,
    SipSpec,
    ThinClientSpec,
    TransactionSpec,
    WebSpec,
)
from helsewan.scenarios.spec.traffic.arrivals import Arrivals, ArrivalSpec, CallsSpec, Process, Shape
from helsewan.scenarios.spec.traffic.media import IPV6_DATAGRAM_BYTES, DatagramsOf, FramesSpec, Sending
from helsewan.scenarios.spec.traffic.pairs import Pairs
from helsewan.scenarios.spec.traffic.programs import ProgramSpec
from helsewan.scenarios.spec.traffic.scan import ScanSpec
from helsewan.scenarios.spec.values import Count, DatagramSize, Interval, Strict


class _MediaSpec(Pairs, DatagramsOf):
    """RTP between pairs of sites: two flows each, one in each direction."""

    rtcp: Annotated[bool, Field(strict=True)] = True
    """whether RTCP reports are sent in both directions, each on the port above its RTP stream's"""
    calls: CallsSpec | None = None
    """calls that begin and end during the run; without it each pair has one, all the time"""


class VoiceSpec(_MediaSpec):
    """Calls: two RTP flows each, one in each direction."""

    kind: Literal["voice"]
    codec: Literal["g711", "g729a"] = "g711"
    silence_suppression: Annotated[bool, Field(strict=True)] = False
    """whether nothing is sent while a party is silent"""


class VideoSpec(_MediaSpec):
    """Video calls: two RTP flows each, every video frame some datagrams."""

    kind: Literal["video"]
    rate: Annotated[Rate, Field(ge=64_000, le=100_000_000)]
    frames_per_second: Annotated[int, Field(strict=True, ge=1, le=60)] = 25
    frames: FramesSpec = FramesSpec()
    """the types and sizes of frames"""
    sending: Sending = Sending.PACED
    """how a frame's datagrams are sent"""


class MessageSpec(Pairs, DatagramsOf):
    """Clinical messages as datagrams: one in each direction every ``every``."""

    kind: Literal["messages"]
    every: Interval
    request: DatagramSize
    reply: DatagramSize
    arrivals: Arrivals = ArrivalSpec()
    """how one message follows another between two sites"""
    shape: Shape | None = None
    """the rate over time; ``every`` is the interval at full rate"""

    @model_validator(mode="after")
    def _fits_ipv6(self) -> Self:
        if self.family != 4 and max(self.request, self.reply) > IPV6_DATAGRAM_BYTES:
            reason = "has a datagram that does not fit an IPv6 packet"
            raise UnitError(reason, f"write at most {IPV6_DATAGRAM_BYTES} B")
        return self

    @property
    def scheduled(self) -> bool:
        """Whether its datagrams are not simply evenly spaced."""
        return self.arrivals.process is not Process.CONSTANT or self.shape is not None


class IsolationSpec(Strict):
    """Probes between sites that the policy separates, and a control for every socket probed."""

    kind: Literal["isolation"]
    count: Count
    every: Interval
    control_every: Interval = 1_000_000


ApplicationTraffic = (
    TransactionSpec | Hl7Spec | EbxmlSpec | PrescriptionSpec | DicomSpec | WebSpec | ThinClientSpec | SipSpec
)
"""What is measured by exchange, not by datagram."""

Traffic = Annotated[
    VoiceSpec | VideoSpec | MessageSpec | IsolationSpec | ScanSpec | ProgramSpec | ApplicationTraffic,
    Field(discriminator="kind"),
]
