"""Whatever bytes arrive, an end answers or breaks off by ProtocolError, in pieces of any size; agents go on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial

import pytest
from ends import outcome, pieces, sent
from hypothesis import given
from hypothesis import strategies as st
from sip_network import lone_request

from helsewan.lab.applications.clients import server_of
from helsewan.lab.applications.sip import sdp
from helsewan.lab.applications.sip.message import StreamReader
from helsewan.lab.applications.sip.user_agent import UserAgent
from helsewan.lab.applications.tcp import dicom_command, dicom_pdu, ebxml
from helsewan.lab.applications.tcp.dicom import StoreClient, StoreServer, Study
from helsewan.lab.applications.tcp.end import ClientEnd, End, ProtocolError
from helsewan.lab.applications.tcp.hl7 import Hl7Client, Hl7Server, acknowledgement, block, result_message
from helsewan.lab.applications.tcp.http import HttpClient
from helsewan.lab.applications.tcp.thin_client import ThinClientEnd, ThinServerEnd, packet
from helsewan.lab.applications.tcp.transaction import TransactionClient, TransactionServer
from helsewan.lab.flows.applications import Span, Web

ONE = Span(1, 1)


def asked(make: Callable[[], ClientEnd], *question: object) -> ClientEnd:
    client = make()
    if question:
        client.ask(*question)  # type: ignore[attr-defined]
    sent(client)
    return client


def store_conversation() -> tuple[bytes, bytes]:
    client, server = StoreClient(Study("CT", "2.25.1", 0, (2_000,))), StoreServer()
    said, heard = b"", b""
    while chunk := sent(client):
        said += chunk
        server.receive(chunk)
        answer = sent(server)
        heard += answer
        client.receive(answer)
    return said, heard


STORE_SAID, STORE_HEARD = store_conversation()
HTTP = server_of(Web(ONE, ONE, ONE, 1, ONE, ONE))
MESSAGE = ebxml.message("M1", "a", "b", 3_000)
POST = b"POST /ebxml?receipt=10 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(MESSAGE) + MESSAGE
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345"

ENDS: dict[str, tuple[Callable[[], End], bytes]] = {  # with what such an end usually gets
    "transaction server": (TransactionServer, sent(TransactionClient(20, 10))),
    "transaction client": (partial(asked, partial(TransactionClient, 20, 10)), bytes(10)),
    "hl7 server": (Hl7Server, block(result_message("1", 500)) * 2),
    "hl7 client": (partial(asked, Hl7Client, "1", 500), block(acknowledgement(result_message("1", 500), "2"))),
    "http server": (HTTP, POST + b"GET /5 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "http client": (partial(asked, HttpClient, "a", "/5"), RESPONSE),
    "thin server": (ThinServerEnd, packet(b"\0\0\0\1\0\0\0\x40") * 2),
    "thin client": (partial(asked, ThinClientEnd, 40, 10), packet(b"\0\0\0\1\0\0\0\0ab")),
    "storage server": (StoreServer, STORE_SAID),
    "storage client": (lambda: asked(lambda: StoreClient(Study("CT", "2.25.1", 0, (2_000,)))), STORE_HEARD),
}


@st.composite
def damaged(draw: st.DrawFn, usual: bytes) -> bytes:
    """Usual bytes with a few changed, added, left out or repeated; or any bytes."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=400))
    data = bytearray(usual)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 3)):
            case 0:
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=4))
            case 1:
                data[at:at] = draw(st.binary(min_size=1, max_size=8))
            case 2:
                del data[at : at + draw(st.integers(1, 20))]
            case 3:
                data[at:at] = data[max(at - 50, 0) : at]
    return bytes(data)


@pytest.mark.parametrize("name", ENDS)
@given(data=st.data())
def test_an_end_answers_or_breaks_off(name: str, data: st.DataObject) -> None:
    make, usual = ENDS[name]
    stream = data.draw(damaged(usual))
    whole = outcome(make, [stream])
    parts = outcome(make, list(pieces(stream, data.draw(st.integers(1, 100)))))
    assert whole[1] == parts[1]
    assert whole == parts or whole[1]  # what was answered before the break may differ


@pytest.mark.parametrize("name", ENDS)
def test_usual_bytes_are_no_hostile_ones(name: str) -> None:
    make, usual = ENDS[name]
    assert not outcome(make, [usual])[1]


READERS: dict[str, Callable[[bytes], object]] = {
    "association": lambda data: dicom_pdu.read_association(data, dicom_pdu.ASSOCIATE_RQ),
    "acceptance": lambda data: dicom_pdu.read_association(data, dicom_pdu.ASSOCIATE_AC),
    "fragments": lambda data: list(dicom_pdu.read_data(data)),
    "command": lambda data: dicom_command.command(dicom_command.read_command(data)),
    "session description": sdp.read,
    "SIP stream": lambda data: StreamReader().feed(data),
    "ebXML target": lambda data: ebxml.answer("/ebxml/receipts/" + data.decode("latin-1"), data),
    "ebXML body": lambda data: ebxml.answer("/ebxml", data),
}
USUAL = {
    "association": STORE_SAID[6:300],
    "acceptance": STORE_HEARD[6:200],
    "fragments": b"\0\0\0\4\1\3ab" * 2,
    "command": dicom_command.command({dicom_command.FIELD: 1, dicom_command.AFFECTED_CLASS: "1.2"}),
    "session description": sdp.write(sdp.Audio("10.0.0.1", 4000, (0, 8)), 1),
    "SIP stream": lone_request("OPTIONS"),
    "ebXML target": b"1%40a?receipt=5&after=6",
    "ebXML body": MESSAGE,
}


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_a_reader_reads_or_refuses(name: str, data: st.DataObject) -> None:
    with contextlib.suppress(ProtocolError):
        READERS[name](data.draw(damaged(USUAL[name])))


OFFER = sdp.write(sdp.Audio("10.9.0.1", 4000, (0, 8)), 1)
SIP = [
    lone_request("INVITE", OFFER),
    lone_request("ACK"),
    lone_request("BYE"),
    lone_request("CANCEL"),
    lone_request("OPTIONS"),
]


@given(st.lists(st.sampled_from(SIP).flatmap(damaged), max_size=8), st.booleans())
def test_an_agent_goes_on(messages: list[bytes], reliable: bool) -> None:
    agent = UserAgent(("10.2.0.1", 5060), range(16_384, 16_640), "seed", reliable)
    for number, data in enumerate(messages):
        agent.receive(data, ("10.9.0.1", 5061), number * 100_000)
        agent.fire(number * 100_000)
    agent.receive(SIP[4].replace(b"z9hG4bK1", b"z9hG4bKlast"), ("10.9.0.1", 5061), 1_000_000)
    assert b"SIP/2.0 200 OK" in agent.outbox[-1][0]
    agent.fire(10**9)
    assert agent.due_us is None or agent.due_us > 10**9
