"""One exchange of each application over TCP, as its client does it, and the server that answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from helsewan.lab.applications.link import ClientLink
from helsewan.lab.applications.tcp import ebxml
from helsewan.lab.applications.tcp.dicom import StoreClient, StoreServer, Study
from helsewan.lab.applications.tcp.end import ClientEnd, End
from helsewan.lab.applications.tcp.hl7 import Hl7Client, Hl7Server
from helsewan.lab.applications.tcp.http import Answer, HttpClient, HttpServer, page
from helsewan.lab.applications.tcp.thin_client import ThinClientEnd, ThinServerEnd
from helsewan.lab.applications.tcp.transaction import TransactionClient, TransactionServer
from helsewan.lab.flows.applications import Application, Dicom, Ebxml, Hl7, ThinClient, Transaction, Web

EBXML_HEADERS = [(b"content-type", ebxml.CONTENT_TYPE.encode("ascii")), (b"soapaction", b'"ebXML"')]
UUID_ROOT = "2.25"  # of UIDs that are made of a UUID (DICOM PS3.5, B.2)


class Exchanging:
    """The connections of one exchange: new ones, and kept ones from ``idle``, to which `give_back` returns them."""

    def __init__(
        self, dial: Callable[[ClientEnd], Awaitable[ClientLink]], idle: list[ClientLink], host: str, rng: Random
    ) -> None:
        self.host = host
        self.rng = rng
        self.links: list[ClientLink] = []
        self.received_bytes = 0
        self.answered_ns: int | None = None
        self._dial = dial
        self._idle = idle

    async def fresh(self, end: ClientEnd) -> ClientLink:
        """A new connection. Raises OSError where there is none to be had."""
        link = await self._dial(end)
        self.links.append(link)
        return link

    async def kept(self, make: Callable[[], ClientEnd]) -> ClientLink:
        """A kept connection that is idle, or else a new one."""
        while self._idle:
            link = self._idle.pop()
            if link.usable:
                self.links.append(link)
                return link
        return await self.fresh(make())

    async def finished(self, link: ClientLink) -> None:
        """Wait for what was asked of ``link``'s end. Raises ConnectionError."""
        try:
            await link.finished()
        finally:
            self.received_bytes += link.end.received_bytes
        if self.answered_ns is None:
            self.answered_ns = link.answered_ns

    def give_back(self) -> None:
        """Keep the connections that can be asked again."""
        self._idle += [link for link in self.links if link.usable]
        self.links.clear()

    def abort(self) -> None:
        """End the connections of an exchange that failed."""
        for link in self.links:
            link.abort()
        self.links.clear()


async def exchange(application: Application, own: Exchanging) -> None:
    """Carry out one exchange, of the web one page. Raises ConnectionError and OSError."""
    match application:
        case Transaction():
            sizes = application.request.draw(own.rng), application.response.draw(own.rng)
            await own.finished(await own.fresh(TransactionClient(*sizes)))
        case Hl7():
            await _hl7(application, own)
        case Ebxml():
            await _ebxml(application, own)
        case Dicom():
            await _dicom(application, own)
        case Web():
            await _web_page(application, own)
        case ThinClient():
            link = await own.kept(ThinClientEnd)
            assert isinstance(link.end, ThinClientEnd)
            link.end.ask(application.input.draw(own.rng), application.update.draw(own.rng))
            await own.finished(link)
        case _:
            raise ValueError(f"{application.kind} does not run over TCP connections of its own")


def server_of(application: Application) -> Callable[[], End]:
    """What makes the server's end of a connection."""
    return {
        Transaction.protocol: TransactionServer,
        Hl7.protocol: Hl7Server,
        Web.protocol: _http_server,
        Dicom.protocol: StoreServer,
        ThinClient.protocol: ThinServerEnd,
    }[application.protocol]


def _http_server() -> HttpServer:
    return HttpServer(_answer)


def _answer(target: str, body: bytes) -> Answer:
    return ebxml.answer(target, body) if target.startswith("/ebxml") else page(target, body)


async def _hl7(application: Hl7, own: Exchanging) -> None:
    link = await own.kept(Hl7Client)
    assert isinstance(link.end, Hl7Client)
    link.end.ask(f"{own.rng.getrandbits(60):015X}", application.message.draw(own.rng))
    await own.finished(link)


async def _ebxml(application: Ebxml, own: Exchanging) -> None:
    link = await own.kept(HttpClient)
    assert isinstance(link.end, HttpClient)
    client, rng = link.end, own.rng
    message_id = f"{rng.getrandbits(64):016x}@{own.host}"
    body = ebxml.message(message_id, own.host, "receiver", application.message.draw(rng))
    client.ask(own.host, ebxml.send_target(application.transport_receipt.draw(rng)), body, EBXML_HEADERS)
    await own.finished(link)
    ebxml.check_receipt(client.body, message_id)
    after_us = application.processing_us.draw(rng)
    client.ask(own.host, ebxml.receipt_target(message_id, application.application_receipt.draw(rng), after_us))
    await own.finished(link)
    ebxml.check_receipt(client.body, message_id)


async def _dicom(application: Dicom, own: Exchanging) -> None:
    uid = f"{UUID_ROOT}.{own.rng.getrandbits(96)}"
    pixels = [application.image.draw(own.rng) for _ in range(application.images.draw(own.rng))]
    shares = [pixels[index :: application.associations] for index in range(application.associations)]
    first, studies = 0, []
    for share in filter(None, shares):  # no association without an image
        studies.append(Study(application.modality, uid, first, share))
        first += len(share)

    async def store(study: Study) -> None:
        await own.finished(await own.fresh(StoreClient(study)))

    await _all(*map(store, studies))


async def _web_page(application: Web, own: Exchanging) -> None:
    """The page over one connection, then its objects over all: each connection asks for the next as it is free."""
    rng = own.rng
    first = await own.kept(HttpClient)
    objects = [application.object.draw(rng) for _ in range(application.objects.draw(rng))]
    await _get(own, first, application.page.draw(rng))

    async def fetch(link: ClientLink | None) -> None:
        if link is None:
            link = await own.kept(HttpClient)
        while objects:
            await _get(own, link, objects.pop())

    others = min(application.connections, len(objects)) - 1
    await _all(fetch(first), *(fetch(None) for _ in range(others)))


async def _get(own: Exchanging, link: ClientLink, size: int) -> None:
    assert isinstance(link.end, HttpClient)
    link.end.ask("example.test", f"http://example.test/{size}")  # as proxies are asked
    await own.finished(link)


async def _all(*parts: Awaitable[None]) -> None:
    """Do several things at once; the first error ends all."""
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(_as_coroutine(part))
    except* OSError as errors:
        raise errors.exceptions[0] from None


async def _as_coroutine(part: Awaitable[None]) -> None:
    await part
