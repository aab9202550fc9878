"""Storage of DICOM images: both ends of an association (DICOM PS3.8, 9.2; C-STORE: PS3.7, 9.1.1).

The client proposes one presentation context, sends its images one after the other, each after the response to the last,
and releases the association. That is what makes a single association slow over a long path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from helsewan.lab.applications.tcp import dicom_command as dimse
from helsewan.lab.applications.tcp import dicom_pdu as ul
from helsewan.lab.applications.tcp.end import ClientEnd, End, ProtocolError

CONTEXT = 1
MAX_COMMAND_BYTES = 10_000
LEAST_PDU_BYTES = 64  # a peer that takes less is broken


@dataclass(frozen=True, slots=True)
class Study:
    """Images of a study that go over one association: the sizes of their pixels; instances count from ``first``."""

    modality: str
    uid: str
    first: int
    pixel_bytes: Sequence[int]


class StoreClient(ClientEnd):
    """Stores a study's images. It is answered with the acceptance of its association, finished with the release."""

    def __init__(self, study: Study) -> None:
        super().__init__()
        self._study = study
        self._reader = ul.PduReader()
        self._sop_class = dimse.SOP_CLASSES[study.modality]
        self._stored = 0
        self._max_pdu_bytes = 0
        self._releasing = False
        self._command = b""
        contexts = {CONTEXT: (0, self._sop_class, (ul.IMPLICIT_LITTLE_ENDIAN,))}
        proposal = ul.Association("STORE", "HELSEWAN", contexts, ul.OWN_MAX_PDU_BYTES)
        self._send(ul.associate(proposal, ul.ASSOCIATE_RQ))

    def receive(self, data: bytes) -> None:
        """See ``End``."""
        self.received_bytes += len(data)
        for pdu in self._reader.feed(data):
            if pdu.type == ul.ASSOCIATE_AC and not self.answered:
                self._accepted(ul.read_association(pdu.contents, pdu.type))
            elif pdu.type == ul.DATA and self.answered and not self._releasing:
                for fragment in ul.read_data(pdu.contents):
                    self._response(fragment)
            elif pdu.type == ul.RELEASE_RP and self._releasing:
                self.finished = self.closing = True
            else:
                names = {ul.ASSOCIATE_RJ: "the DICOM association was rejected", ul.ABORT: "the association was aborted"}
                raise ProtocolError(names.get(pdu.type, "a DICOM PDU that does not belong here"))

    def _accepted(self, association: ul.Association) -> None:
        result, _, transfers = association.contexts.get(CONTEXT, (1, "", ()))
        if result != 0 or transfers != (ul.IMPLICIT_LITTLE_ENDIAN,):
            raise ProtocolError("the presentation context was not accepted")
        if 0 < association.max_pdu_bytes < LEAST_PDU_BYTES:
            raise ProtocolError("a DICOM peer that takes hardly any PDU")
        self._max_pdu_bytes = min(association.max_pdu_bytes or ul.OWN_MAX_PDU_BYTES, ul.OWN_MAX_PDU_BYTES)
        self.answered = True
        self._next()

    def _response(self, fragment: ul.Pdv) -> None:
        self._command += fragment.data
        if not fragment.is_command or len(self._command) > MAX_COMMAND_BYTES:
            raise ProtocolError("no response to a C-STORE")
        if not fragment.is_last:
            return
        fields, self._command = dimse.read_command(self._command), b""
        if dimse.number(fields, dimse.FIELD) != dimse.C_STORE_RSP:
            raise ProtocolError("no response to a C-STORE")
        if dimse.number(fields, dimse.ANSWERED_ID) != self._message_id:
            raise ProtocolError("a response to another C-STORE")
        status = dimse.number(fields, dimse.STATUS)
        if status != dimse.SUCCESS and status >> 12 != 0xB:  # Bxxx: stored, with a warning
            raise ProtocolError(f"C-STORE failed with status {status:#06x}")
        self._stored += 1
        self._next()

    @property
    def _message_id(self) -> int:
        return self._stored % 0xFFFF + 1

    def _next(self) -> None:
        """Send the next image, or release."""
        if self._stored == len(self._study.pixel_bytes):
            self._releasing = True
            self._send(ul.RELEASE_REQUEST)
            return
        self._send(self._store(self._stored, self._message_id))

    def _store(self, index: int, message_id: int) -> Iterator[bytes]:
        study = self._study
        instance = f"{study.uid}.1.{study.first + index}"
        fields: dimse.Command = {
            dimse.AFFECTED_CLASS: self._sop_class,
            dimse.FIELD: dimse.C_STORE_RQ,
            dimse.MESSAGE_ID: message_id,
            dimse.PRIORITY: 0,
            dimse.DATA_SET_TYPE: 1,
            dimse.AFFECTED_INSTANCE: instance,
        }
        yield from ul.data_pdus(CONTEXT, True, dimse.command(fields), True, self._max_pdu_bytes)
        chunks = dimse.image(study.modality, study.uid, instance, study.pixel_bytes[index])
        held = next(chunks)
        for chunk in chunks:  # a chunk behind, to know the last
            yield from ul.data_pdus(CONTEXT, False, held, False, self._max_pdu_bytes)
            held = chunk
        yield from ul.data_pdus(CONTEXT, False, held, True, self._max_pdu_bytes)


class StoreServer(End):
    """Accepts any storage, answers every C-STORE and C-ECHO with success, and forgets the images."""

    def __init__(self) -> None:
        super().__init__()
        self._reader = ul.PduReader()
        self._contexts: set[int] = set()
        self._max_pdu_bytes = 0
        self._command = b""
        self._fields: dimse.Command | None = None  # of the command whose data set is to come

    def receive(self, data: bytes) -> None:
        """See ``End``."""
        for pdu in self._reader.feed(data):
            if pdu.type == ul.ASSOCIATE_RQ and not self._contexts:
                self._associated(ul.read_association(pdu.contents, pdu.type))
            elif pdu.type == ul.DATA and self._contexts:
                for fragment in ul.read_data(pdu.contents):
                    self._take(fragment)
            elif pdu.type == ul.RELEASE_RQ and self._contexts:
                self._send(ul.RELEASE_REPLY)  # the client closes (PS3.8, 9.2.1)
            elif pdu.type == ul.ABORT:
                self.closing = True
            else:
                raise ProtocolError("a DICOM PDU that does not belong here")

    def _associated(self, asked: ul.Association) -> None:
        offered = {*dimse.SOP_CLASSES.values(), dimse.VERIFICATION}
        answers: dict[int, tuple[int, str, tuple[str, ...]]] = {}
        for id_, (_, abstract, transfers) in asked.contexts.items():
            result = 0 if ul.IMPLICIT_LITTLE_ENDIAN in transfers else 4  # not supported (PS3.8, table 9-18)
            result = result if abstract in offered else 3
            answers[id_] = result, "", (ul.IMPLICIT_LITTLE_ENDIAN,)
        self._contexts = {id_ for id_, (result, _, _) in answers.items() if result == 0}
        if not self._contexts or 0 < asked.max_pdu_bytes < LEAST_PDU_BYTES:
            self._send(ul.pdu(ul.ASSOCIATE_RJ, bytes((0, 1, 1, 1))))  # permanent, by the service user, no reason
            self.closing = True
            return
        self._max_pdu_bytes = min(asked.max_pdu_bytes or ul.OWN_MAX_PDU_BYTES, ul.OWN_MAX_PDU_BYTES)
        accepted = ul.Association(asked.called, asked.calling, answers, ul.OWN_MAX_PDU_BYTES)
        self._send(ul.associate(accepted, ul.ASSOCIATE_AC))

    def _take(self, fragment: ul.Pdv) -> None:
        if fragment.context not in self._contexts or fragment.is_command is not (self._fields is None):
            raise ProtocolError("a DICOM fragment that does not belong here")
        if self._fields is not None:
            if fragment.is_last:
                fields, self._fields = self._fields, None
                self._respond(fragment.context, fields)
            return
        self._command += fragment.data
        if len(self._command) > MAX_COMMAND_BYTES:
            raise ProtocolError("a DICOM command that does not end")
        if fragment.is_last:
            fields, self._command = dimse.read_command(self._command), b""
            if dimse.number(fields, dimse.DATA_SET_TYPE) == dimse.NO_DATA_SET:
                self._respond(fragment.context, fields)
            else:
                self._fields = fields

    def _respond(self, context: int, fields: dimse.Command) -> None:
        kind = dimse.number(fields, dimse.FIELD)
        if kind not in (dimse.C_STORE_RQ, dimse.C_ECHO_RQ):
            raise ProtocolError("a DICOM command other than C-STORE and C-ECHO")
        answer: dimse.Command = {
            dimse.FIELD: kind | 0x8000,
            dimse.ANSWERED_ID: dimse.number(fields, dimse.MESSAGE_ID),
            dimse.DATA_SET_TYPE: dimse.NO_DATA_SET,
            dimse.STATUS: dimse.SUCCESS,
        }
        answer |= {tag: fields[tag] for tag in (dimse.AFFECTED_CLASS, dimse.AFFECTED_INSTANCE) if tag in fields}
        self._send(b"".join(ul.data_pdus(context, True, dimse.command(answer), True, self._max_pdu_bytes)))
