"""Remote desktops: TPKT packets, inputs and the updates that answer them."""

from __future__ import annotations

import pytest
from ends import converse, pieces, sent
from hypothesis import given
from hypothesis import strategies as st

from helsewan.lab.applications.tcp.end import ProtocolError
from helsewan.lab.applications.tcp.thin_client import ThinClientEnd, ThinServerEnd, TpktReader, packet


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
def test_packets_come_out_as_they_went_in(contents: list[bytes], piece: int) -> None:
    reader = TpktReader()
    stream = b"".join(map(packet, contents))
    assert [found for part in pieces(stream, piece) for found in reader.feed(part)] == contents


@given(st.integers(0, 200), st.integers(0, 70_000))
def test_an_update_has_the_size_that_was_asked_for(input_bytes: int, update_bytes: int) -> None:
    client, server = ThinClientEnd(), ThinServerEnd()
    client.ask(input_bytes, update_bytes)
    converse(client, server)
    assert client.finished
    assert client.received_bytes == max(update_bytes, 12)


def test_the_first_packet_of_an_update_is_the_answer() -> None:
    client, server = ThinClientEnd(), ThinServerEnd()
    client.ask(40, 60_000)
    server.receive(sent(client))
    client.receive(server.outgoing())
    assert client.answered and not client.finished


@pytest.mark.parametrize("data", [b"\x03\x00\x00\x03", b"\x02\x00\x00\x04", packet(b""), packet(b"\xff" * 8)])
def test_what_is_no_input_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        ThinServerEnd().receive(data)


@pytest.mark.parametrize("contents", [b"", b"\0\0\0\x02" + bytes(4)])
def test_another_update_is_a_failure(contents: bytes) -> None:
    client = ThinClientEnd()
    client.ask(40, 100)
    with pytest.raises(ProtocolError):
        client.receive(packet(contents))
