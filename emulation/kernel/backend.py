"""The kernel backend: the links of a sandbox as kernel queueing disciplines between veth pairs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from helsewan.emulation.kernel.classifier import Classes
from helsewan.emulation.kernel.patch_namespace import Egress, KernelPipe, PatchNamespace
from helsewan.emulation.kernel.pipe import NotInKernel
from helsewan.emulation.links.link_backend import Dataplane, End, LinkBackend, Models, Shape
from helsewan.emulation.links.pipe_model import Direction, PipeModel
from helsewan.emulation.nodes.nodes import NamespaceNode


@dataclass(frozen=True)
class Port:
    """Interface ``name`` of ``node``, and the index of its veth peer in the patch namespace."""

    node: NamespaceNode
    name: str
    index: int

    @property
    def egress(self) -> Egress:
        """The egress side of the node's interface."""
        return Egress(self.node.netlink, self.node.netlink.index_of(self.name))


@dataclass(frozen=True)
class KernelLink:
    """A link's pipes, forward and back, and the interfaces of the patch namespace that go down with it."""

    forward: KernelPipe
    back: KernelPipe
    patch_ends: tuple[int, int]

    def pipe(self, direction: Direction) -> KernelPipe:
        """The pipe of one direction."""
        return self.forward if direction is Direction.FORWARD else self.back


class KernelBackend(LinkBackend):
    """Link backend of the kernel dataplane. Links are changed one after the other, each in some tens of microseconds.

    Raises NotInKernel for a model that the kernel cannot implement, OSError for requests that it refuses."""

    dataplane = Dataplane.KERNEL
    trunk_queue = 1000  # a veth has no queue of its own; its disciplines have theirs

    def __init__(self, shape: Shape, classes: Classes) -> None:
        super().__init__(shape)
        self.links: dict[str, KernelLink] = {}
        self._patch = PatchNamespace()
        self._classes = classes
        self._early_us: dict[tuple[str, Direction], float] = {}
        self._ports: list[Port] = []

    def end(self, node: NamespaceNode, name: str) -> End:
        """Create the veth ``name`` in ``node``."""
        self._ports.append(Port(node, name, self._patch.add_port(node.namespace, name)))
        return End(len(self._ports) - 1)

    def commit(self) -> None:
        """Create all links added so far."""
        for name, (first, second) in self._ends.items():
            make = self._access_link if second.vlan else self._router_link
            self.links[name] = make(self.models[name], self._ports[first.port], self._ports[second.port], second.vlan)
        self._ends.clear()

    def _router_link(self, models: tuple[PipeModel, PipeModel], first: Port, second: Port, _: int) -> KernelLink:
        self._patch.redirect(first.index, second.index)
        self._patch.redirect(second.index, first.index)
        forward = KernelPipe(first.egress, self._patch.egress(second.index), self._classes, models[0])
        back = KernelPipe(second.egress, self._patch.egress(first.index), self._classes, models[1])
        return KernelLink(forward, back, (first.index, second.index))

    def _access_link(self, models: tuple[PipeModel, PipeModel], site: Port, trunk: Port, vlan: int) -> KernelLink:
        near, far = self._patch.pair()
        self._patch.redirect(site.index, near)
        self._patch.redirect(far, trunk.index, vlan)
        self._patch.redirect_tagged(trunk.index, vlan, far)
        self._patch.redirect(near, site.index)
        forward = KernelPipe(site.egress, self._patch.egress(near), self._classes, models[0])
        back = KernelPipe(self._patch.egress(far), self._patch.egress(site.index), self._classes, models[1])
        return KernelLink(forward, back, (site.index, near))

    def compensate_delay(self, by_us: Mapping[tuple[str, Direction], float]) -> None:
        """Deliver earlier on one direction of links, by the given delay (us)."""
        self._early_us.update(by_us)
        self.set_models({name: self.models[name] for name, _ in by_us})

    def set_models(self, models: Models) -> int:
        """Give links new models; delay compensation stays in effect."""
        for name, pair in models.items():
            for direction, model in zip(Direction, pair, strict=True):
                delay_us = max(0, round(model.delay_us - self._early_us.get((name, direction), 0.0)))
                self.links[name].pipe(direction).change(replace(model, delay_us=delay_us))
        self.models.update(models)
        return time.time_ns()

    def set_down(self, names: Iterable[str], down: bool) -> int:
        """Fail or restore links: their ends lose or gain carrier, and a failed link's frames are dropped."""
        self._patch.set_up([index for name in names for index in self.links[name].patch_ends], up=not down)
        return time.time_ns()

    def set_blackhole(self, name: str, direction: Direction, blackhole: bool) -> int:
        """Make one direction a black hole (all its frames are lost in transit), or end that."""
        pipe = self.links[name].pipe(direction)
        pipe.change(pipe.model, blackhole)
        return time.time_ns()

    def set_paused(self, names: Iterable[str], paused: bool) -> int:
        """Not supported: raises NotInKernel."""
        raise NotInKernel(
            "the kernel cannot pause a link: plug and netem's slots hold frames, but then release at once all that "
            "became due meanwhile"
        )
