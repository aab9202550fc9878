"""What lines a world has, whoever carries them: what the link engine's plant and the kernel's have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar, TypeAlias

from helsewan.emulation.links.pipe_model import PipeModel
from helsewan.emulation.nodes.nodes import NamespaceNode
from helsewan.emulation.routers.switches import KERNEL, USERSPACE, RouterSwitch
from helsewan.topology.model import TRUNK_INTERFACE

CORE_MTU = 1600  # a site's 1500 bytes and up to three labels and a tag

Shape: TypeAlias = Callable[[int, int], PipeModel]  # a line's model by its rate (bit/s) and propagation delay (us)
Models: TypeAlias = Mapping[str, tuple[PipeModel, PipeModel]]  # by line: forward and back


class Dataplane(str, Enum):
    """What carries frames, and which datapath of Open vSwitch's goes with it (``datapath_type``)."""

    ENGINE = "engine"
    KERNEL = "kernel"

    @property
    def datapath_type(self) -> str:
        """Open vSwitch's userspace datapath, or the kernel's."""
        return USERSPACE if self is Dataplane.ENGINE else KERNEL


class Direction(str, Enum):
    """One of a line's two directions."""

    FORWARD = "forward"  # from the first end: from a fibre's router ``a``, from a site
    BACK = "back"


@dataclass(frozen=True)
class End:
    """One end of a line: the number of a port and the VLAN that tells it apart there (0 = none)."""

    port: int
    vlan: int = 0


class LinkBackend(ABC):
    """Collects lines while Mininet builds, makes them on ``commit``, and changes them from then on. Changes return
    the instant at which they held (CLOCK_REALTIME, ns).

    ``models`` are the lines' models as asked for, forward and back, before ``compensate_delay`` shortens delays."""

    dataplane: ClassVar[Dataplane]
    trunk_queue: ClassVar[int]  # frames that a trunk's interface holds on their way out

    def __init__(self, shape: Shape) -> None:
        """``shape`` gives lines their models."""
        self.models: dict[str, tuple[PipeModel, PipeModel]] = {}
        self._shape = shape
        self._trunks: dict[str, End] = {}
        self._ends: dict[str, tuple[End, End]] = {}  # of the lines to make

    @abstractmethod
    def end(self, node: NamespaceNode, name: str) -> End:
        """Create interface ``name`` in ``node``, a line's end."""

    def trunk_end(self, router: RouterSwitch, vlan: int) -> End:
        """The end of access line ``vlan`` on the router's trunk, which comes with the first line."""
        if router.name not in self._trunks:
            self._trunks[router.name] = self.end(router, TRUNK_INTERFACE)
            router.raise_port(TRUNK_INTERFACE, txqlen=self.trunk_queue)
        return End(self._trunks[router.name].port, vlan)

    def join(
        self, name: str, first: End, second: End, rate_bps: int, delay_us: int, mtu_bytes: int | None = None
    ) -> None:
        """A line with the same rate and delay both ways; it exists from ``commit`` on. Without ``mtu_bytes`` it takes
        what its ends send."""
        self.join_as(name, first, second, replace(self._shape(rate_bps, delay_us), mtu_bytes=mtu_bytes))

    def join_as(self, name: str, first: End, second: End, model: PipeModel) -> None:
        """A line with the same model both ways; it exists from ``commit`` on."""
        self.models[name] = (model, model)
        self._ends[name] = (first, second)

    @abstractmethod
    def commit(self) -> None:
        """Make all lines."""

    @abstractmethod
    def compensate_delay(self, by_us: Mapping[tuple[str, Direction], float]) -> None:
        """Deliver earlier on one direction of lines, by what the machine adds behind it, as far as its delay allows."""

    @abstractmethod
    def set_models(self, models: Models) -> int:
        """Give lines new models; queued frames stay."""

    @abstractmethod
    def set_down(self, names: Iterable[str], down: bool) -> int:
        """Cut or mend lines."""

    @abstractmethod
    def set_blackhole(self, name: str, direction: Direction, silent: bool) -> int:
        """Have frames of one direction vanish on the way, and no more."""

    @abstractmethod
    def set_paused(self, names: Iterable[str], frozen: bool) -> int:
        """Stop or resume time on lines."""
