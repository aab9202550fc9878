"""Medical messages in ebXML envelopes over HTTP, with both receipts.

The envelope is that of ebMS 2.0 (OASIS ebXML Message Service Specification 2.0, 2.1 and 3): SOAP with a MessageHeader,
and the payload beside it in a multipart/related entity, base64 as Norwegian messages travel. The transport receipt, an
Acknowledgment, comes back on the same connection (its ``syncReply``). The application receipt is a message of its own;
here the sender fetches it, because only members open connections under the national policy.

The server is told in the target how large its receipts are, and how long it takes:
``/ebxml?receipt=BYTES`` and ``/ebxml/receipts/MESSAGE-ID?receipt=BYTES&after=MICROSECONDS``.
"""

from __future__ import annotations

import re
from base64 import b64encode
from urllib.parse import parse_qs, quote, unquote, urlsplit

from helsewan.lab.applications.tcp.end import ProtocolError
from helsewan.lab.applications.tcp.http import NOT_FOUND, Answer

MAX_RECEIPT_BYTES = 100_000
MAX_PROCESSING_US = 3_600_000_000
_BOUNDARY = "envelope"
CONTENT_TYPE = f'multipart/related; type="text/xml"; boundary={_BOUNDARY}'

_SOAP = """\
<?xml version="1.0" encoding="UTF-8"?>
<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"
 xmlns:eb="http://www.oasis-open.org/committees/ebxml-msg/schema/msg-header-2_0.xsd">
<soap:Header>
<eb:MessageHeader eb:version="2.0" soap:mustUnderstand="1">
<eb:From><eb:PartyId eb:type="HER">{sender}</eb:PartyId></eb:From>
<eb:To><eb:PartyId eb:type="HER">{receiver}</eb:PartyId></eb:To>
<eb:CPAId>{sender}:{receiver}</eb:CPAId>
<eb:ConversationId>{message_id}</eb:ConversationId>
<eb:Service>urn:oasis:names:tc:ebxml-msg:service</eb:Service>
<eb:Action>{action}</eb:Action>
<eb:MessageData><eb:MessageId>{message_id}</eb:MessageId>{reference}</eb:MessageData>
</eb:MessageHeader>
{more}</soap:Header>
<soap:Body/>
</soap:Envelope>
"""
_MESSAGE_ID = re.compile(rb"<eb:MessageId>([^<>]{1,200})</eb:MessageId>")
_REFERENCE = re.compile(rb"<eb:RefToMessageId>([^<>]{1,200})</eb:RefToMessageId>")


def message(message_id: str, sender: str, receiver: str, size: int) -> bytes:
    """The body of a message of about ``size`` bytes, or its least size if that is more."""
    parties = {"sender": sender, "receiver": receiver}
    soap = _SOAP.format(**parties, message_id=message_id, action="Message", reference="", more="")
    return _multipart(soap, size)


def receipt(kind: str, message_id: str, size: int) -> bytes:
    """The body of a receipt for ``message_id``: ``kind`` is "Acknowledgment" (transport) or "AppRec" (application)."""
    reference = f"<eb:RefToMessageId>{message_id}</eb:RefToMessageId>"
    more = f'<eb:Acknowledgment eb:version="2.0" soap:mustUnderstand="1">{reference}</eb:Acknowledgment>\n'
    soap = _SOAP.format(
        sender="receiver",
        receiver="sender",
        message_id=f"{kind}-{message_id}"[:200],
        action=kind,
        reference=reference,
        more=more if kind == "Acknowledgment" else "",
    )
    return _multipart(soap, size)


def _multipart(soap: str, size: int) -> bytes:
    """An envelope and a payload that fills it up to ``size`` bytes (to within the 3 of a base64 group)."""
    head = f"--{_BOUNDARY}\r\nContent-Type: text/xml\r\n\r\n{soap}\r\n--{_BOUNDARY}\r\n"
    head += "Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    tail = f"\r\n--{_BOUNDARY}--\r\n"
    left = size - len(head.encode()) - len(tail)
    return head.encode() + b64encode(bytes(max(left, 0) // 4 * 3)) + tail.encode()


def send_target(receipt_bytes: int) -> str:
    """The target of a POST of a message; the answer is its transport receipt."""
    return f"/ebxml?receipt={receipt_bytes}"


def receipt_target(message_id: str, receipt_bytes: int, after_us: int) -> str:
    """The target of a GET of the application receipt for a message."""
    return f"/ebxml/receipts/{quote(message_id, safe='')}?receipt={receipt_bytes}&after={after_us}"


def check_receipt(body: bytes, message_id: str) -> None:
    """Raises ProtocolError unless ``body`` is a receipt for ``message_id``."""
    found = _REFERENCE.search(body)
    if found is None or found[1] != message_id.encode():
        raise ProtocolError("a receipt for no message of ours")


def answer(target: str, body: bytes) -> Answer:
    """What the receiver of messages answers."""
    split = urlsplit(target)
    path, arguments = split.path, parse_qs(split.query)
    size = min(_number(arguments, "receipt"), MAX_RECEIPT_BYTES)
    after_us = min(_number(arguments, "after"), MAX_PROCESSING_US)
    if path == "/ebxml":
        found = _MESSAGE_ID.search(body)
        if found is None:
            return NOT_FOUND
        return Answer(receipt("Acknowledgment", found[1].decode("ascii", "replace"), size), CONTENT_TYPE, after_us)
    asked = unquote(path.removeprefix("/ebxml/receipts/"))
    if asked == path or not asked.isascii() or not 0 < len(asked) <= 200 or set("<>&") & set(asked):
        return NOT_FOUND
    return Answer(receipt("AppRec", asked, size), CONTENT_TYPE, after_us)


def _number(arguments: dict[str, list[str]], name: str) -> int:
    text = arguments.get(name, ["0"])[0]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0
