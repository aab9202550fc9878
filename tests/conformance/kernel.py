"""The kernel's queueing disciplines in real time, on veth pairs between namespaces."""

from __future__ import annotations

import time
from collections.abc import Mapping

from backends import TC_TO_QUEUE, received
from experiment import Experiment, Feature, Observation
from loads import queue_of_dscp
from real_time import PATIENCE_S, Ends, measured
from reference import Change

from helsewan.emulation.kernel.classifier import Classes
from helsewan.emulation.kernel.patch_namespace import KernelPipe, PatchNamespace
from helsewan.emulation.kernel.pipe import NotInKernel
from helsewan.emulation.links.link_backend import CORE_MTU
from helsewan.emulation.netlink.bulk import Netlink
from helsewan.emulation.sandbox.namespaces import Namespace

CLASSES = Classes(tuple(queue_of_dscp()), tuple(TC_TO_QUEUE), 0)
QUIET_S = 0.3  # longer than any line of the table holds a frame


class KernelBackend:
    """A line of its own for each experiment."""

    name = "kernel"
    lacks: Mapping[Feature, str] = {
        Feature.TAGS: "a packet socket takes tags off what it hears",
        Feature.RATE_10G: "no packet socket sends that fast",
        Feature.BUFFER: "each queueing discipline counts its own frames",
        Feature.WRED: "gred reads another mark than DSCP",
        Feature.FREEZE: "no queueing discipline stops the time of what it holds",
        Feature.TRACE: "changes are made one message at a time",
    }
    attempts = 3

    def __init__(self) -> None:
        self._wire = PatchNamespace()
        self.precision = measured(self.run)

    def run(self, experiment: Experiment) -> Observation:
        """Play the experiment on a line of its own: the sender's end, a veth with the shaper, the receiver's end."""
        nodes = Namespace(), Namespace()
        try:
            source, target = (self._wire.add_port(node, "end") for node in nodes)
            near, far = self._wire.pair()
            self._wire.redirect(source, near)
            self._wire.redirect(far, target)
            pipe = KernelPipe(self._wire.egress(near), self._wire.egress(target), CLASSES, experiment.model)
            for node in nodes:
                netlink = Netlink(node)
                netlink.withhold_ipv6("end")
                netlink.set_link("end", up=True, mtu=CORE_MTU)
            ends = Ends((nodes[0], "end"), (nodes[1], "end"))
            try:
                lights = [near, target]
                sent_ns, changed_ns = ends.play(experiment, lambda change: self._change(pipe, lights, change))
                arrivals = self._received(ends)
            finally:
                ends.close()
        finally:
            for node in nodes:
                node.close()
        return Observation(
            sent_ns=tuple(sent_ns),
            changed_ns=tuple(changed_ns),
            received=tuple(received(time_ns, data, experiment.frames) for time_ns, data in arrivals),
        )

    def _change(self, pipe: KernelPipe, lights: list[int], change: Change) -> int:
        if change.frozen:
            raise NotInKernel("the kernel cannot stop time on a line")
        pipe.change(change.model, change.silent)
        self._wire.set_up(lights, up=not change.down)
        return time.time_ns()

    def _received(self, ends: Ends) -> list[tuple[int, bytes]]:
        """All that comes until nothing came for a while."""
        arrivals: list[tuple[int, bytes]] = []
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            time.sleep(QUIET_S)
            more = ends.received()
            arrivals += more
            if not more:
                return arrivals
        raise TimeoutError(f"frames still come after {PATIENCE_S:g} s")

    def close(self) -> None:
        """The wire goes with the process."""
