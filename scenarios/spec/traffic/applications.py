"""Schema of application traffic: exchanges over TCP and SIP calls, each begun at its time whatever became of the last.

Defaults are the sizes that docs/scenarios/applications.md gives sources for.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from helsewan.common.units import UnitError
from helsewan.lab.flows.applications import Span
from helsewan.policies.language.schema import Duration
from helsewan.scenarios.spec.traffic.arrivals import Arrivals, ArrivalSpec, Shape
from helsewan.scenarios.spec.traffic.media import DatagramsOf
from helsewan.scenarios.spec.traffic.pairs import Pairs
from helsewan.scenarios.spec.values import Interval, Size, Strict

Few = Annotated[int, Field(strict=True, ge=0, le=10_000)]


class _SpanSpec(Strict):
    """The least and the most of a value that is drawn evenly between them."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.span.least > self.span.most:
            raise UnitError("has a least above its most", "exchange them")
        return self

    @property
    def span(self) -> Span:
        """As planned traffic has it."""
        values = self.model_dump()
        return Span(values["least"], values["most"])


class _SizeSpan(_SpanSpec):
    least: Size
    most: Size


class _TimeSpan(_SpanSpec):
    least: Duration
    most: Duration


class _CountSpan(_SpanSpec):
    least: Few
    most: Few


def _one(value: object) -> object:
    """``{least: 5 kB, most: 5 kB}`` for ``5 kB``."""
    return value if isinstance(value, (dict, _SpanSpec)) else {"least": value, "most": value}


SizeSpan = Annotated[_SizeSpan, BeforeValidator(_one, json_schema_input_type=Size | _SizeSpan)]
TimeSpan = Annotated[_TimeSpan, BeforeValidator(_one, json_schema_input_type=Duration | _TimeSpan)]
CountSpan = Annotated[_CountSpan, BeforeValidator(_one, json_schema_input_type=Few | _CountSpan)]


def _sizes(least: int, most: int) -> _SizeSpan:
    return _SizeSpan.model_construct(least=least, most=most)


def _times(least_us: int, most_us: int) -> _TimeSpan:
    return _TimeSpan.model_construct(least=least_us, most=most_us)


def _counts(least: int, most: int) -> _CountSpan:
    return _CountSpan.model_construct(least=least, most=most)


class Exchanges(Pairs, DatagramsOf):
    """Exchanges that every client begins on its own, one in ``every`` on average; one that has not ended within
    ``deadline`` has failed."""

    every: Interval
    deadline: Interval
    arrivals: Arrivals = ArrivalSpec()
    """how one exchange follows another of the same client"""
    shape: Shape | None = None
    """the rate over time; ``every`` is the interval at full rate"""
    port: Annotated[int, Field(strict=True, ge=1, le=65_535)] | None = None
    """one of the service's ports, where it has several; the first fitting one otherwise"""


class TransactionSpec(Exchanges):
    """Requests and responses over TCP, one connection each."""

    kind: Literal["transactions"]
    request: SizeSpan
    response: SizeSpan


class Hl7Spec(Exchanges):
    """HL7 v2 messages over MLLP, each with its acknowledgement, on connections that are kept."""

    kind: Literal["hl7"]
    message: SizeSpan = _sizes(2_000, 10_000)


class Receipted(Exchanges):
    """Messages in ebXML envelopes, each with its transport receipt and its application receipt."""

    message: SizeSpan
    transport_receipt: SizeSpan = _sizes(3_000, 6_000)
    application_receipt: SizeSpan = _sizes(3_000, 6_000)
    processing: TimeSpan = _times(50_000, 500_000)
    """the receiver's time between both receipts"""


class EbxmlSpec(Receipted):
    """Medical messages with both receipts."""

    kind: Literal["ebxml"]
    message: SizeSpan = _sizes(10_000, 25_000)


class PrescriptionSpec(Receipted):
    """Electronic prescriptions: messages to the prescription broker, with both receipts."""

    kind: Literal["prescription"]
    message: SizeSpan = _sizes(8_000, 20_000)


Modality = Literal["CT", "MR", "CR", "DX", "MG", "US"]
MODALITIES: dict[str, tuple[_CountSpan, _SizeSpan]] = {
    "CT": (_counts(300, 500), _sizes(524_288, 524_288)),
    "MR": (_counts(100, 300), _sizes(131_072, 524_288)),
    "CR": (_counts(1, 4), _sizes(8_000_000, 8_000_000)),
    "DX": (_counts(1, 4), _sizes(8_000_000, 8_000_000)),
    "MG": (_counts(4, 4), _sizes(5_000_000, 50_000_000)),
    "US": (_counts(10, 40), _sizes(300_000, 1_000_000)),
}
"""Images of a study and bytes of an image."""


class DicomSpec(Exchanges):
    """Studies of images, stored by C-STORE over one or several associations at once."""

    kind: Literal["dicom"]
    modality: Modality = "CT"
    images: CountSpan | None = None
    """images of a study; by modality otherwise"""
    image: SizeSpan | None = None
    """bytes of an image's pixels; by modality otherwise"""
    associations: Annotated[int, Field(strict=True, ge=1, le=64)] = 1


class WebSpec(Exchanges):
    """Pages with their objects, over connections that a session keeps. A session begins in every ``every``; each of its
    pages is an exchange."""

    kind: Literal["web"]
    page: SizeSpan = _sizes(20_000, 60_000)
    objects: CountSpan = _counts(5, 25)
    object: SizeSpan = _sizes(1_000, 50_000)
    connections: Annotated[int, Field(strict=True, ge=1, le=64)] = 6
    pages: CountSpan = _counts(1, 1)
    think: TimeSpan = _times(2_000_000, 10_000_000)
    """the reader's time between two pages"""


class ThinClientSpec(Exchanges):
    """Users of remote desktops: small packets of input up, changes of the screen down. Each is an exchange."""

    kind: Literal["thin-client"]
    input: SizeSpan = _sizes(40, 120)
    update: SizeSpan = _sizes(500, 20_000)


class SipSpec(Exchanges):
    """Calls set up by SIP, over UDP or TCP as the service is. ``deadline`` is that of the answer: a caller gives up
    then."""

    kind: Literal["sip"]
    ring: TimeSpan = _times(1_000_000, 4_000_000)
    """how long the callee rings"""
    holding: TimeSpan = _times(30_000_000, 180_000_000)
    """how long a call lasts from its answer"""
