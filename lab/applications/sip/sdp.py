"""Session descriptions of an audio call: offer and answer (RFC 8866, RFC 3264)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from helsewan.lab.applications.tcp.end import ProtocolError

PCMU, PCMA, G729 = 0, 8, 18  # static payload types (RFC 3551, table 4)
KNOWN = (PCMA, PCMU, G729)
MAX_BYTES = 10_000
CONTENT_TYPE = "application/sdp"
_MEDIA = re.compile(r"audio (\d{1,5})(?:/\d{1,5})? RTP/AVP((?: \d{1,3}){1,64})")


@dataclass(frozen=True, slots=True)
class Audio:
    """Where RTP is wanted, and the payload types that are understood there, the preferred one first."""

    address: str
    port: int
    payload_types: tuple[int, ...]


def write(audio: Audio, session: int) -> bytes:
    """A session description."""
    version = 6 if ":" in audio.address else 4
    types = " ".join(map(str, audio.payload_types))
    lines = (
        "v=0",
        f"o=helsewan {session} {session} IN IP{version} {audio.address}",
        "s=-",
        f"c=IN IP{version} {audio.address}",
        "t=0 0",
        f"m=audio {audio.port} RTP/AVP {types}",
        "a=ptime:20",
    )
    return "".join(line + "\r\n" for line in lines).encode("ascii")


def read(body: bytes) -> Audio:
    """The first audio stream of a session description. Raises ProtocolError where there is none that can be read."""
    if len(body) > MAX_BYTES:
        raise ProtocolError("a session description of more than 10 kB")
    address, audio, in_audio = "", None, False
    for line in body.decode("utf-8", "replace").splitlines():
        if line.startswith("m="):
            if audio is not None:
                break
            audio = _MEDIA.fullmatch(line[2:].strip())
            in_audio = audio is not None
        elif line.startswith("c=IN IP") and (audio is None or in_audio):
            address = line[8:].strip().split("/")[0]
    if audio is None or int(audio[1]) > 65_535:
        raise ProtocolError("a session description without audio over RTP/AVP")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise ProtocolError("a session description without a numeric address") from None
    return Audio(address, int(audio[1]), tuple(map(int, audio[2].split())))


def answer(offer: Audio, address: str, port: int) -> Audio:
    """The answer to an offer: its first payload type that is known here. Raises ProtocolError where there is none."""
    common = [each for each in offer.payload_types if each in KNOWN]
    if not common:
        raise ProtocolError("an offer of no codec that is known here")
    return Audio(address, port, (common[0],))
