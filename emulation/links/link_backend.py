"""Base class of the link backends: the links of a sandbox, independent of the dataplane that carries them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar, TypeAlias

from helsewan.emulation.links.pipe_model import Direction, PipeModel
from helsewan.emulation.nodes.nodes import NamespaceNode
from helsewan.emulation.routers.switches import KERNEL, USERSPACE, RouterSwitch
from helsewan.topology.model import TRUNK_INTERFACE

CORE_MTU = 1600  # a site's 1500 bytes and up to three labels and a tag
TAP_QUEUE = 2000  # frames a TAP holds while the engine is busy; beyond, the kernel drops and counts them

Shape: TypeAlias = Callable[[int, int], PipeModel]  # a link's model by its rate (bit/s) and propagation delay (us)
Models: TypeAlias = Mapping[str, tuple[PipeModel, PipeModel]]  # by link: forward and back


class Dataplane(str, Enum):
    """What carries frames, and the Open vSwitch datapath used with it (``datapath_type``)."""

    ENGINE = "engine"
    KERNEL = "kernel"

    @property
    def datapath_type(self) -> str:
        """Open vSwitch's userspace datapath, or the kernel's."""
        return USERSPACE if self is Dataplane.ENGINE else KERNEL


@dataclass(frozen=True)
class End:
    """One end of a link: the number of a port, in the order of creation, and the VLAN that identifies it there (0 =
    none)."""

    port: int
    vlan: int = 0


class LinkBackend(ABC):
    """Collects links while Mininet builds, creates them on ``commit``, and changes them from then on. Changes return
    the time at which they took effect (CLOCK_REALTIME, ns).

    ``models`` are the links' models as requested, forward and back, before ``compensate_delay`` shortens delays."""

    dataplane: ClassVar[Dataplane]
    trunk_queue: ClassVar[int]  # transmit queue length of a trunk's interface, frames

    def __init__(self, shape: Shape) -> None:
        """``shape`` returns a link's model for its rate and delay."""
        self.models: dict[str, tuple[PipeModel, PipeModel]] = {}
        self._shape = shape
        self._trunks: dict[str, End] = {}
        self._ends: dict[str, tuple[End, End]] = {}  # of the links that ``commit`` creates

    @abstractmethod
    def end(self, node: NamespaceNode, name: str) -> End:
        """Create interface ``name`` in ``node`` as an end of a link."""

    def trunk_end(self, router: RouterSwitch, vlan: int) -> End:
        """The end of access link ``vlan`` on the router's trunk, which is created with the first access link."""
        if router.name not in self._trunks:
            self._trunks[router.name] = self.end(router, TRUNK_INTERFACE)
            router.bring_up(TRUNK_INTERFACE, txqlen=self.trunk_queue)
        return End(self._trunks[router.name].port, vlan)

    def join(
        self, name: str, first: End, second: End, rate_bps: int, delay_us: int, mtu_bytes: int | None = None
    ) -> None:
        """Add a link with the same rate (bit/s) and delay (us) both ways, created on ``commit``. Without ``mtu_bytes``
        its MTU is unlimited."""
        self.join_as(name, first, second, replace(self._shape(rate_bps, delay_us), mtu_bytes=mtu_bytes))

    def join_as(self, name: str, first: End, second: End, model: PipeModel) -> None:
        """Add a link with the same model both ways, created on ``commit``."""
        self.models[name] = (model, model)
        self._ends[name] = (first, second)

    @abstractmethod
    def commit(self) -> None:
        """Create all links added so far."""

    @abstractmethod
    def compensate_delay(self, by_us: Mapping[tuple[str, Direction], float]) -> None:
        """Deliver earlier on one direction of links, by the delay that the machine adds behind it (us), as far as the
        link's delay allows."""

    @abstractmethod
    def set_models(self, models: Models) -> int:
        """Give links new models; queued frames stay."""

    @abstractmethod
    def set_down(self, names: Iterable[str], down: bool) -> int:
        """Fail or restore links."""

    @abstractmethod
    def set_blackhole(self, name: str, direction: Direction, blackhole: bool) -> int:
        """Make one direction a black hole (all its frames are lost in transit), or end that."""

    @abstractmethod
    def set_paused(self, names: Iterable[str], paused: bool) -> int:
        """Pause or resume links."""
