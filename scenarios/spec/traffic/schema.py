"""Schema of the traffic section: its kinds of entries. What depends on the policy is checked by ``traffic.flows``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

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
from helsewan.scenarios.spec.traffic.pairs import Pairs
from helsewan.scenarios.spec.values import Count, DatagramSize, Interval, Strict


class VoiceSpec(Pairs):
    """Calls: two RTP flows each, one in each direction."""

    kind: Literal["voice"]
    codec: Literal["g711", "g729a"] = "g711"


class VideoSpec(Pairs):
    """Video calls: two flows each, every video frame a burst of datagrams."""

    kind: Literal["video"]
    rate: Annotated[Rate, Field(ge=64_000, le=100_000_000)]
    frames_per_second: Annotated[int, Field(strict=True, ge=1, le=60)] = 25


class MessageSpec(Pairs):
    """Clinical messages as paced datagrams: one in each direction every ``every``."""

    kind: Literal["messages"]
    every: Interval
    request: DatagramSize
    reply: DatagramSize


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
    VoiceSpec | VideoSpec | MessageSpec | ApplicationTraffic | IsolationSpec, Field(discriminator="kind")
]
