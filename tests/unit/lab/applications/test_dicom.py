"""DICOM storage: PDUs and their lengths, both ends of an association, and pynetdicom as the other side of each."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from ends import converse, pieces, sent
from hypothesis import given
from hypothesis import strategies as st
from loopback_exchanges import ended, exchange_spec, free_port, running
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from helsewan.lab.applications.tcp import dicom_command as dimse
from helsewan.lab.applications.tcp import dicom_pdu as ul
from helsewan.lab.applications.tcp.dicom import StoreClient, StoreServer, Study
from helsewan.lab.applications.tcp.end import ProtocolError
from helsewan.lab.flows.applications import Dicom, Span

UIDS = st.text("0123456789.", min_size=1, max_size=64)


def study(*pixel_bytes: int) -> Study:
    return Study("CT", "2.25.4711", 0, pixel_bytes)


@given(
    st.dictionaries(st.integers(0, 255), st.tuples(st.integers(0, 4), UIDS, st.tuples(UIDS))), st.integers(0, 2**32 - 1)
)
def test_associations_come_out_as_they_went_in(
    contexts: dict[int, tuple[int, str, tuple[str, ...]]], most: int
) -> None:
    asked = ul.Association("STORE", "HELSEWAN", contexts, most)
    (pdu,) = ul.PduReader().feed(ul.associate(asked, ul.ASSOCIATE_RQ))
    assert ul.read_association(pdu.contents, ul.ASSOCIATE_RQ) == asked


@given(st.binary(min_size=1, max_size=2_000), st.integers(64, 300), st.booleans(), st.integers(1, 100))
def test_fragments_fit_their_pdus(data: bytes, most: int, is_command: bool, piece: int) -> None:
    stream = b"".join(ul.data_pdus(5, is_command, data, True, most))
    reader = ul.PduReader()
    pdus = [pdu for part in pieces(stream, piece) for pdu in reader.feed(part)]
    assert all(len(pdu.contents) <= most for pdu in pdus)
    fragments = [fragment for pdu in pdus for fragment in ul.read_data(pdu.contents)]
    assert b"".join(fragment.data for fragment in fragments) == data
    assert [fragment.is_last for fragment in fragments] == [False] * (len(fragments) - 1) + [True]
    assert {(fragment.context, fragment.is_command) for fragment in fragments} == {(5, is_command)}


def test_commands_come_out_as_they_went_in() -> None:
    fields: dimse.Command = {dimse.FIELD: 1, dimse.MESSAGE_ID: 7, dimse.AFFECTED_CLASS: "1.2.840"}
    read = dimse.read_command(dimse.command(fields))
    assert {tag: value for tag, value in read.items() if tag != (0, 0)} == fields


@pytest.mark.parametrize("piece", [13, 65_536])
def test_images_are_stored_one_after_the_other(piece: int) -> None:
    client, server = StoreClient(study(2_000, 40_000, 2)), StoreServer()
    converse(client, server, piece)
    assert client.answered and client.finished and client.closing


def test_the_peers_longest_pdu_is_kept() -> None:
    client = StoreClient(study(100_000))
    sent(client)
    contexts = {1: (0, "", (ul.IMPLICIT_LITTLE_ENDIAN,))}
    client.receive(ul.associate(ul.Association("STORE", "HELSEWAN", contexts, 1_000), ul.ASSOCIATE_AC))
    pdus = ul.PduReader().feed(sent(client))
    assert len(pdus) > 100
    assert all(len(pdu.contents) <= 1_000 for pdu in pdus)


@pytest.mark.parametrize(
    "answer",
    [
        ul.pdu(ul.ASSOCIATE_RJ, bytes(4)),
        ul.ABORTED,
        ul.associate(ul.Association("A", "B", {1: (3, "", ("1.2",))}, 0), ul.ASSOCIATE_AC),
        ul.associate(ul.Association("A", "B", {1: (0, "", (ul.IMPLICIT_LITTLE_ENDIAN,))}, 7), ul.ASSOCIATE_AC),
        ul.pdu(ul.ASSOCIATE_AC, bytes(10)),
        ul.RELEASE_REPLY,
        b"\x08" + bytes(5),
    ],
)
def test_another_answer_is_a_failure(answer: bytes) -> None:
    with pytest.raises(ProtocolError):
        StoreClient(study(100)).receive(answer)


def test_a_client_of_another_syntax_is_rejected() -> None:
    server = StoreServer()
    contexts = {1: (0, "1.2.840.10008.5.1.4.1.1.2", ("1.2.840.10008.1.2.4.50",))}
    server.receive(ul.associate(ul.Association("A", "B", contexts, 0), ul.ASSOCIATE_RQ))
    assert sent(server)[0] == ul.ASSOCIATE_RJ
    assert server.closing


@contextmanager
def storage(port: int) -> Iterator[list[Dataset]]:
    """pynetdicom's storage server; what it stored."""
    stored: list[Dataset] = []

    def store(event: evt.Event) -> int:
        stored.append(event.dataset)
        return 0

    entity = AE()
    entity.add_supported_context(CTImageStorage, ImplicitVRLittleEndian)
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield stored
    finally:
        server.shutdown()


def test_pynetdicom_stores_our_images() -> None:
    port = free_port()
    spec = exchange_spec(Dicom("CT", Span(5, 5), Span(524_288, 524_288), associations=2), count=1, port=port)
    with storage(port) as stored:
        # Our own server listens elsewhere.

        class Elsewhere(socket.socket):
            def bind(self, address: object) -> None:
                super().bind(("127.0.0.1", 0))

        done = ended(
            spec, count=1, socket_in=lambda site, *kind: Elsewhere(*kind) if site == "b" else socket.socket(*kind)
        )
    assert [(one.ok, one.error) for one in done] == [(True, "")]
    assert len({image.SOPInstanceUID for image in stored}) == len(stored) == 5
    assert {(image.Rows, image.Columns, len(image.PixelData)) for image in stored} == {(512, 512, 524_288)}


def test_our_server_stores_pynetdicoms_images() -> None:
    spec = exchange_spec(Dicom("CT", Span(1, 1), Span(100, 100), 1), count=0)
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, "2.25.1"
    image.Modality, image.Rows, image.Columns, image.BitsAllocated = "CT", 64, 64, 16
    image.PixelData = bytes(8192)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    entity = AE()
    for context in (CTImageStorage, Verification):
        entity.add_requested_context(context, ImplicitVRLittleEndian)
    with running(spec):
        association = entity.associate("127.0.0.1", spec.port)
        assert association.is_established
        assert association.send_c_echo().Status == 0
        assert [association.send_c_store(image).Status for _ in range(3)] == [0, 0, 0]
        association.release()
        assert association.is_released
