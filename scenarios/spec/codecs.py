"""Voice codecs: packet size and pace, and equipment impairments from ITU-T G.113 (2007), Appendix I.

20 ms of G.711 in a packet are usual: 80 kbit/s at IP, of G.729 24 kbit/s (Avaya's manuals have the same figures).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Codec:
    """A voice codec: what it sends, and its impairment without and with loss (G.113, Tables I.1 and I.2)."""

    name: str
    payload_bytes: int  # a datagram's RTP payload
    payload_type: int  # of RTP (RFC 3551, 6); G.711 with the A-law, as in Europe
    clock_hz: int  # of RTP time stamps
    interval_us: int  # speech in a datagram
    lookahead_us: int  # the encoder's algorithmic delay beyond that
    ie: float  # equipment impairment without loss
    bpl: float  # packet-loss robustness, random loss, with packet loss concealment


CODECS: Mapping[str, Codec] = {
    "g711": Codec(
        "G.711", payload_bytes=160, payload_type=8, clock_hz=8_000, interval_us=20_000, lookahead_us=0, ie=0.0, bpl=25.1
    ),
    "g729a": Codec(
        "G.729A",
        payload_bytes=20,
        payload_type=18,
        clock_hz=8_000,
        interval_us=20_000,
        lookahead_us=5_000,
        ie=11.0,
        bpl=19.0,
    ),
}
