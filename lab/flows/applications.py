"""Planned applications over TCP and SIP: what one exchange of each kind transfers. Pure values; sizes in bytes.

`lab.applications` carries them out. ``load`` of each is the mean of what one exchange sends, for estimates.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Span:
    """A whole number drawn evenly from ``least`` to ``most``, both included."""

    least: int
    most: int

    def draw(self, rng: Random) -> int:
        """One value."""
        return rng.randint(self.least, self.most)

    @property
    def mean(self) -> float:
        """The mean of many values."""
        return (self.least + self.most) / 2


@dataclass(frozen=True, slots=True)
class Load:
    """The mean load of an exchange: bytes in both directions together, and connections opened for it."""

    bytes: float
    connections: float


@dataclass(frozen=True, slots=True)
class Transaction:
    """A request and a response on a connection of its own."""

    kind: ClassVar[str] = "transactions"
    protocol: ClassVar[str] = "transactions"
    request: Span
    response: Span

    @property
    def load(self) -> Load:
        """The mean load of one."""
        return Load(self.request.mean + self.response.mean, 1)


@dataclass(frozen=True, slots=True)
class Hl7:
    """An HL7 v2 message over MLLP and its acknowledgement, on a connection that is kept."""

    kind: ClassVar[str] = "hl7"
    protocol: ClassVar[str] = "MLLP"
    message: Span

    @property
    def load(self) -> Load:
        """The mean load of one."""
        return Load(self.message.mean + 200, 0)


@dataclass(frozen=True, slots=True)
class Ebxml:
    """A message over HTTP, its transport receipt, and ``processing_us`` later its application receipt."""

    kind: ClassVar[str] = "ebxml"
    protocol: ClassVar[str] = "HTTP"
    message: Span
    transport_receipt: Span
    application_receipt: Span
    processing_us: Span

    @property
    def load(self) -> Load:
        """The mean load of one."""
        return Load(self.message.mean + self.transport_receipt.mean + self.application_receipt.mean, 0)


@dataclass(frozen=True, slots=True)
class Dicom:
    """A study: ``images`` of one modality, C-STOREd over ``associations`` TCP connections at once."""

    kind: ClassVar[str] = "dicom"
    protocol: ClassVar[str] = "DICOM"
    modality: str
    images: Span
    image: Span
    associations: int

    @property
    def load(self) -> Load:
        """The mean load of one."""
        return Load(self.images.mean * self.image.mean, self.associations)


@dataclass(frozen=True, slots=True)
class Web:
    """A page and then its objects, over ``connections`` kept connections; ``pages`` in a session, ``think_us`` apart.
    Every page is an exchange."""

    kind: ClassVar[str] = "web"
    protocol: ClassVar[str] = "HTTP"
    page: Span
    objects: Span
    object: Span
    connections: int
    pages: Span
    think_us: Span

    @property
    def load(self) -> Load:
        """The mean load of one session."""
        pages = self.pages.mean
        return Load(pages * (self.page.mean + self.objects.mean * (self.object.mean + 300)), self.connections)


@dataclass(frozen=True, slots=True)
class ThinClient:
    """A user's input and the change of the screen that answers it, in TPKT packets on a connection that is kept."""

    kind: ClassVar[str] = "thin-client"
    protocol: ClassVar[str] = "TPKT"
    input: Span
    update: Span

    @property
    def load(self) -> Load:
        """The mean load of one interaction."""
        return Load(self.input.mean + self.update.mean, 0)


class SipTransport(str, Enum):
    """What carries SIP."""

    UDP = "udp"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class SipCall:
    """A call: it rings for ``ring_us`` at the callee, lasts ``duration_us`` from its answer; the caller hangs up."""

    kind: ClassVar[str] = "sip"
    protocol: ClassVar[str] = "SIP"
    transport: SipTransport
    ring_us: Span
    duration_us: Span

    @property
    def load(self) -> Load:
        """The mean load of one: INVITE, 100, 180, 200, ACK, BYE, 200."""
        return Load(7 * 600, 0)


# ``kind`` is the kind of traffic as scenarios write it, ``protocol`` what a server of it speaks.
Application = Transaction | Hl7 | Ebxml | Dicom | Web | ThinClient | SipCall
