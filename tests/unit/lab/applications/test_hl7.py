"""HL7 v2 over MLLP: framing, control ids, acknowledgements."""

from __future__ import annotations

import pytest
from ends import converse, pieces, sent
from hypothesis import given
from hypothesis import strategies as st

from helsewan.lab.applications.tcp.end import ProtocolError
from helsewan.lab.applications.tcp.hl7 import (
    Hl7Client,
    Hl7Server,
    MllpReader,
    acknowledgement,
    block,
    result_message,
)

CONTENTS = st.binary(max_size=300).filter(lambda data: b"\x1c\r" not in data)


@given(st.lists(CONTENTS, max_size=5), st.integers(1, 50))
def test_messages_come_out_as_they_went_in(messages: list[bytes], piece: int) -> None:
    reader = MllpReader()
    stream = b"".join(map(block, messages))
    assert [message for part in pieces(stream, piece) for message in reader.feed(part)] == messages


@given(st.integers(0, 20_000))
def test_a_message_has_its_size(size: int) -> None:
    message = result_message("4711", size)
    assert len(message) == max(size, len(result_message("4711", 0)))
    assert all(segment[3:4] == b"|" for segment in message.rstrip(b"\r").split(b"\r"))


def test_an_acknowledgement_names_the_message_and_changes_sides() -> None:
    segments = acknowledgement(result_message("4711", 1_000), "1").split(b"\r")
    header, answer = segments[0].split(b"|"), segments[1].split(b"|")
    assert header[:9] == [b"MSH", b"^~\\&", b"EPJ", b"RECEIVER", b"LAB", b"SENDER", b"", b"", b"ACK"]
    assert answer == [b"MSA", b"AA", b"4711"]


@pytest.mark.parametrize("piece", [1, 7, 65_536])
def test_messages_are_acknowledged_one_after_the_other(piece: int) -> None:
    client, server = Hl7Client(), Hl7Server()
    for number in range(3):
        client.ask(f"M{number}", 3_000)
        assert not client.finished
        converse(client, server, piece)
        assert client.finished


@pytest.mark.parametrize(
    "answer",
    [
        b"MSH|^~\\&|A|B|C|D|||ACK|1|P|2.5\rMSA|AA|other\r",
        b"MSH|^~\\&|A|B|C|D|||ACK|1|P|2.5\rMSA|AE|M1\r",
        b"MSH|^~\\&|A|B|C|D|||ACK|1|P|2.5\r",
        b"MSH|^~\\&|A|B\r",
        b"PID|1\r",
        b"",
    ],
)
def test_another_answer_is_a_failure(answer: bytes) -> None:
    client = Hl7Client()
    client.ask("M1", 1_000)
    sent(client)
    with pytest.raises(ProtocolError):
        client.receive(block(answer))


def test_a_message_without_end_is_refused() -> None:
    reader = MllpReader(most_bytes=1_000)
    assert reader.feed(block(bytes(998))) == [bytes(998)]
    with pytest.raises(ProtocolError, match="more than 1000 bytes"):
        reader.feed(b"\x0b" + bytes(2_000))


def test_bytes_between_messages_are_refused() -> None:
    with pytest.raises(ProtocolError):
        MllpReader().feed(block(b"MSH") + b"x")
