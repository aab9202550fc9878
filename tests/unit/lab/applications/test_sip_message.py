"""SIP messages as others write them: compact and folded headers, lists, IPv6, streams; SDP; what is refused."""

from __future__ import annotations

import pytest
from ends import pieces
from hypothesis import given
from hypothesis import strategies as st

from helsewan.lab.applications.sip import sdp
from helsewan.lab.applications.sip.message import (
    Request,
    Response,
    StreamReader,
    address_of,
    parse,
    read_via,
    tag_of,
    uri_in,
    uri_parameter,
)
from helsewan.lab.applications.tcp.end import ProtocolError

INVITE = b"""\
INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
TO :
 sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n
f: "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>
  ;
  tag = 98asjd8
Max-Forwards: 0068
Call-ID: wsinv.ndaksdj@192.0.2.1
Content-Length   : 3
cseq: 0009
  INVITE
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =
      newvalue ;
  secondparam ; q = 0.33

v=0 and more than was announced""".replace(b"\n", b"\r\n")
"""After RFC 4475, 3.1.1.1, a short tortuous INVITE."""


def test_a_tortuous_invite_is_read() -> None:
    message = parse(INVITE)
    assert isinstance(message, Request)
    assert (message.method, message.cseq, message.body) == ("INVITE", (9, "INVITE"), b"v=0")
    assert tag_of(message.get("to")) == "1918181833n"
    assert tag_of(message.get("from")) == "98asjd8"
    assert len(message.all("via")) == 2
    assert uri_in(message.get("contact")) == "sip:jdrosen@example.com"


@pytest.mark.parametrize(
    ("text", "host", "port", "branch"),
    [
        ("SIP/2.0/UDP 10.1.2.3:5070;branch=z9hG4bK1;rport", "10.1.2.3", 5070, "z9hG4bK1"),
        ("SIP/2.0/TCP [fd00::1]:5061;branch=a", "[fd00::1]", 5061, "a"),
        ("SIP/2.0/UDP host.example", "host.example", 5060, ""),
    ],
)
def test_vias(text: str, host: str, port: int, branch: str) -> None:
    via = read_via(text)
    assert (via.host, via.port, via.branch) == (host, port, branch)


@pytest.mark.parametrize(
    ("uri", "address", "ring"),
    [
        ("sip:a@10.1.2.3:5070;ring=20", ("10.1.2.3", 5070), "20"),
        ("sip:10.1.2.3", ("10.1.2.3", 5060), ""),
        ("sips:a@[fd00::1];x;ring=1?h=1", ("fd00::1", 5060), "1"),
        ("tel:+47", None, ""),
        ("", None, ""),
    ],
)
def test_uris(uri: str, address: tuple[str, int] | None, ring: str) -> None:
    assert address_of(uri) == address
    assert uri_parameter(uri, "ring") == ring


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        INVITE[:200],
        INVITE.replace(b"cseq", b"x"),
        INVITE.replace(b"0009\r\n  INVITE", b"nine"),
        INVITE.replace(b": 3", b": 300"),
        INVITE.replace(b": 3", b": -3"),
        INVITE.replace(b"spindle.example.com", b"spindle.example.com:99999"),
        INVITE.replace(b"Max-Forwards:", b"Max-Forwards"),
        INVITE.replace(b"Max-Forwards: 0068", b"\r\n".join([b"a: b"] * 201)),
        INVITE + bytes(65_536),
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse(data)


MESSAGES = [
    Response((("via", "SIP/2.0/TCP a;branch=1"), ("from", "<sip:a>"), ("to", "<sip:b>"), ("call-id", "1"),
              ("cseq", "1 BYE")), body, 200, "OK").encode()
    for body in (b"", b"v=0\r\n\r\n")
]  # fmt: skip


@given(st.lists(st.sampled_from(MESSAGES), max_size=5), st.integers(1, 300))
def test_a_stream_is_cut_into_messages(messages: list[bytes], piece: int) -> None:
    reader = StreamReader()
    stream = b"\r\n\r\n".join(messages)  # with keep-alives between them
    assert [found for part in pieces(stream, piece) for found in reader.feed(part)] == messages


@pytest.mark.parametrize(
    "data",
    [b"INVITE sip:a SIP/2.0\r\na: b\r\n\r\n", b"A\r\nl: 99999999\r\n\r\n", b"x" * 70_000],
)
def test_a_stream_without_lengths_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        StreamReader().feed(data)


@given(
    st.ip_addresses().map(str), st.integers(0, 65_535), st.lists(st.integers(0, 127), min_size=1, max_size=5).map(tuple)
)
def test_audio_comes_out_as_it_went_in(address: str, port: int, types: tuple[int, ...]) -> None:
    audio = sdp.Audio(address, port, types)
    assert sdp.read(sdp.write(audio, 1)) == audio


def test_sipps_description_is_read() -> None:
    text = "v=0\r\no=user1 53655765 2353687637 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n"
    text += "m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\nm=video 6002 RTP/AVP 96\r\nc=IN IP4 10.0.0.2\r\n"
    assert sdp.read(text.encode()) == sdp.Audio("10.0.0.1", 6000, (0,))


@pytest.mark.parametrize(
    "data", [b"", b"m=audio 1 RTP/AVP 0\r\n", b"c=IN IP4 x\r\nm=audio 1 RTP/AVP 0\r\n", b"x" * 20_000]
)
def test_what_describes_no_audio_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        sdp.read(data)
