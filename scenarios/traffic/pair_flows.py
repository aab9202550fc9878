"""The flows of a pair of sites: datagrams in both directions and, of RTP, reports on them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from helsewan.lab.flows.flowspec import Endpoint, FlowKind, FlowSpec
from helsewan.scenarios.traffic.streams import Stream, report_stream
from helsewan.topology.model import Site


@dataclass(frozen=True, slots=True)
class Link:
    """A client and a server with a socket each, and what they use it for."""

    kind: FlowKind
    service: str
    class_name: str
    dscp: int
    client: Site
    server: Site
    near: Endpoint
    far: Endpoint
    codec: str
    entry: str


@dataclass(frozen=True, slots=True)
class PairFlows:
    """What is sent over ``link`` from ``start_us`` to before ``stop_us``. Flows get no ids."""

    name: str
    link: Link
    start_us: int
    stop_us: int

    def flows(self, there: Stream, back: Stream) -> Iterator[FlowSpec]:
        """The flows from client to server and back."""
        names = self._names()
        yield self._flow(names[0], there, self.link.near, self.link.far)
        yield self._flow(names[1], back, self.link.far, self.link.near)

    def reports(self, media: Stream, rng: np.random.Generator) -> Iterator[FlowSpec]:
        """RTCP on the ports above those of the RTP flows, which are like ``media``: the client's reports, and the
        server's."""
        near, far = (replace(end, port=end.port + 1) for end in (self.link.near, self.link.far))
        there, back = self._names()
        for own, peer, source, destination in ((there, back, near, far), (back, there, far, near)):
            version = source.address.version
            stream = report_stream(own, peer, media, version, self.stop_us - self.start_us, rng)
            flow = self._flow(f"{own} rtcp", stream, source, destination)
            groups = (self.link.entry, f"{self.link.entry}.rtcp")
            yield replace(flow, kind=FlowKind.RTCP, codec="", groups=groups)

    def _names(self) -> tuple[str, str]:
        client, server = self.link.client.id, self.link.server.id
        return f"{self.name} {client} > {server}", f"{self.name} {client} < {server}"

    def _flow(self, name: str, stream: Stream, source: Endpoint, destination: Endpoint) -> FlowSpec:
        link = self.link
        return FlowSpec(
            id=-1,
            name=name,
            kind=link.kind,
            class_name=link.class_name,
            service=link.service,
            client=link.client.id,
            server=link.server.id,
            source=source,
            destination=destination,
            dscp=link.dscp,
            sent_dscp=link.dscp,
            interval_ns=stream.interval_ns,
            burst=stream.burst,
            payload_bytes=stream.payload_bytes,
            start_us=min(self.start_us + stream.delay_us, self.stop_us),
            stop_us=self.stop_us,
            codec=link.codec,
            groups=(link.entry, region_pair(link.client, link.server)),
            schedule=stream.schedule,
            offset_ns=stream.offset_ns,
            format=stream.format,
        )


def region_pair(client: Site, server: Site) -> str:
    """The name of the group of flows between two sites' regions."""
    return f"{client.region.value}>{server.region.value}"
