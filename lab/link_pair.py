"""Two hosts joined by one emulated link, without routers or a controller: what most tests of one's own program need.

from helsewan.emulation.sandbox import sandbox
from helsewan.lab.link_pair import LinkPair

sandbox.inhabit()
with LinkPair(rate="2 Mbit/s", delay="20 ms", loss="1 %") as pair:
    print(pair.a.cmd("ping -c 3", pair.b.IP()))
    pair.set(loss="none")
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Any

from helsewan.emulation.links.capture import Capture
from helsewan.emulation.links.engine import EngineProcess
from helsewan.emulation.links.engine_backend import EngineBackend
from helsewan.emulation.links.link_backend import TAP_QUEUE
from helsewan.emulation.links.pipe_model import ClassQueue, Direction, PipeModel
from helsewan.emulation.mininet.net import disable_mininet_init
from helsewan.emulation.netlink.interfaces import NetlinkIntf, routing
from helsewan.emulation.nodes.dismantle import dismantle
from helsewan.emulation.nodes.nodes import NamespaceNode
from helsewan.emulation.sandbox import sandbox
from helsewan.lab.links.link_change import LinkChange, applied
from helsewan.lab.links.link_options import directions_of, parsed_change

LINK = "a-b"
INTERFACE = "wan0"
ADDRESSES4 = (IPv4Interface("192.0.2.1/24"), IPv4Interface("192.0.2.2/24"))  # RFC 5737
ADDRESSES6 = (IPv6Interface("2001:db8::1/64"), IPv6Interface("2001:db8::2/64"))  # RFC 3849
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")
BUFFER_US = 50_000  # the queue's limit, as time at the link's rate
DEFAULT = PipeModel(1_000_000_000, 0, (ClassQueue(limit_us=BUFFER_US),))
_PORTS, _PIPES, _MEMORY_BYTES = 4, 4, 32 << 20


class PairHost(NamespaceNode):
    """One of the two hosts, with Mininet's interface (``cmd``, ``popen``, ``pexec``)."""

    def __init__(self, name: str, address4: IPv4Interface, address6: IPv6Interface, mac: str) -> None:
        self.address4, self.address6, self.mac = address4.ip, address6.ip, mac
        self._interfaces = (address4, address6)
        super().__init__(name)

    def IP(self, intf: Any = None) -> str:
        """The host's IPv4 address."""
        return str(self.address4)

    def join(self, other: PairHost) -> None:
        """Set the interface up with both addresses, which are usable at once (no duplicate address detection), and
        with the addresses of ``other``, so that the first packet takes no longer than others."""
        self.netlink.set_link(INTERFACE, up=True, txqlen=TAP_QUEUE, address=self.mac)
        with routing(self.namespace) as route:
            index = route.link_lookup(ifname=INTERFACE)[0]
            loopback = route.link_lookup(ifname="lo")[0]
            route.link("set", index=loopback, state="up")
            for interface in self._interfaces:
                route.addr(
                    "add",
                    index=index,
                    address=str(interface.ip),
                    prefixlen=interface.network.prefixlen,
                    **({"flags": _NO_DAD} if interface.version == 6 else {}),
                )
        for address in (other.address4, other.address6):
            self.netlink.set_neighbour(address, INTERFACE, other.mac)


_NO_DAD = 0x02  # IFA_F_NODAD, if_addr.h


class LinkPair:
    """Hosts ``a`` and ``b`` with a link between them, in the current sandbox, from ``start`` or ``with`` to ``close``.

    The options are those of ``helsewan link set`` by name (``rate``, ``delay``, ``jitter``, ``loss``, ``loss_bursts``,
    ``duplicate``, ``corrupt``, ``mtu``, ``buffer`` ...), both ways. By default the link has 1 Gbit/s, no delay, and a
    queue of 50 ms."""

    def __init__(self, **options: str) -> None:
        """Raises InputError for an option that does not exist or has no valid value."""
        self._model = _changed(DEFAULT, options)
        self._undo = ExitStack()
        self._backend: EngineBackend | None = None

    def start(self) -> None:
        """Create hosts and link. Raises InputError in a thread that is in no sandbox, EngineError or OSError where the
        link engine or the interfaces cannot be had."""
        sandbox.require_inside()
        disable_mininet_init()
        engine = EngineProcess(_PORTS, _PIPES, _MEMORY_BYTES)
        self._undo.callback(engine.close)
        engine.start()
        engine.configure([0] * 64, [0] * 8, 0)
        self._backend = EngineBackend(engine, lambda rate_bps, delay_us: self._model)
        self.a, self.b = (PairHost(*each) for each in zip("ab", ADDRESSES4, ADDRESSES6, MACS, strict=True))
        self._undo.callback(dismantle, [self.a, self.b])
        ends = self._backend.end(self.a, INTERFACE), self._backend.end(self.b, INTERFACE)
        for host, other in ((self.a, self.b), (self.b, self.a)):
            NetlinkIntf(INTERFACE, node=host, port=0)
            host.join(other)
        self._backend.join_as(LINK, *ends, self._model)
        self._backend.commit()

    @property
    def _links(self) -> EngineBackend:
        if self._backend is None:
            raise RuntimeError("the link was not started")
        return self._backend

    def set(self, direction: str = "both", *, down: bool | None = None, **options: str) -> None:
        """Change the link, as ``Emulation.set_link`` does. ``direction``: ``forward`` is from ``a`` to ``b``. Raises
        InputError for an invalid change."""
        chosen = directions_of(direction)
        forward, back = self._links.models[LINK]
        if options:
            forward = _changed(forward, options) if Direction.FORWARD.value in chosen else forward
            back = _changed(back, options) if Direction.BACK.value in chosen else back
            self._links.set_models({LINK: (forward, back)})
        if down is not None:
            self._links.set_down([LINK], down)

    def reset(self) -> None:
        """The link as it was at first, and up."""
        self._links.set_down([LINK], down=False)
        self._links.set_models({LINK: (self._model, self._model)})

    def counters(self, direction: str = "forward") -> Mapping[str, int]:
        """The link engine's counters of one direction: frames and bytes in and out, drops by cause."""
        record = self._links.engine.counters()[self._links.links[LINK].pipe(Direction(direction))]
        return {name: int(record[name]) for name in record.dtype.names or () if record[name].ndim == 0}

    def capture(self, file: Path) -> Capture:
        """Start to capture the frames that leave the link, both ways, to a pcapng file; ends with ``stop``."""
        return self._links.capture(LINK, None, file)

    def close(self) -> None:
        """End the link and all that runs on the hosts. Idempotent."""
        self._undo.close()

    def __enter__(self) -> LinkPair:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _changed(model: PipeModel, options: Mapping[str, str]) -> PipeModel:
    change = parsed_change({name.replace("_", "-"): text for name, text in options.items()}, {})
    if "buffer_bytes" in change:  # the limit in time is this module's own
        model = replace(model, queues=tuple(replace(queue, limit_us=None) for queue in model.queues))
    return applied(LinkChange.model_validate_json(json.dumps(change)), model, {})
