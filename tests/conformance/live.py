"""The link engine in real time, over TAPs in a namespace."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack

from backends import TC_TO_QUEUE, engine_drops, received
from experiment import Experiment, Feature, Observation
from loads import queue_of_dscp
from real_time import Ends, measured, wait_for
from reference import Change

from helsewan.emulation.links.engine import EngineProcess, PipeChange, PipeSpec
from helsewan.emulation.links.link_backend import CORE_MTU
from helsewan.emulation.netlink.bulk import Netlink
from helsewan.emulation.sandbox.namespaces import Namespace, open_tap
from helsewan.emulation.sandbox.realtime import cores_awake

TAP_QUEUE = 10_000  # frames: all that a case offers, should the engine be late


class LiveBackend:
    """A line of its own for each experiment, all in one engine process."""

    name = "live"
    lacks: Mapping[Feature, str] = {
        Feature.TAGS: "a packet socket takes tags off what it hears; the same code runs in virtual time",
        Feature.RATE_10G: "no packet socket sends that fast; the same code runs in virtual time",
    }
    attempts = 5

    def __init__(self) -> None:
        self._awake = ExitStack()
        self._awake.enter_context(cores_awake())
        self._engine = EngineProcess(max_ports=256, max_pipes=128)
        self._engine.start()
        self._engine.configure(queue_of_dscp(), list(TC_TO_QUEUE), 0)
        self._namespace = Namespace()
        self._namespace.sysctl({"ipv6/conf/default/disable_ipv6": 1})
        self._netlink = Netlink(self._namespace)
        self._taps = 0
        self.precision = measured(self.run)

    def run(self, experiment: Experiment) -> Observation:
        """Play the experiment on a line of its own."""
        ends, pipe = self._line(experiment)
        try:
            sent_ns, changed_ns = ends.play(experiment, lambda change: self._change(pipe, change))
            record = self._engine.counters()[pipe]
            wait_for(
                lambda: record["frames_in"] == len(sent_ns) and not record["queued_frames"] + record["flight_frames"],
                f"{experiment.model}: {len(sent_ns)} frames sent, {record['frames_in']} came in",
            )
            arrivals = ends.received()
        finally:
            ends.close()
        return Observation(
            sent_ns=tuple(sent_ns),
            changed_ns=tuple(changed_ns),
            received=tuple(received(time_ns, data, experiment.frames) for time_ns, data in arrivals),
            drops=engine_drops(record, self._engine.of_classes(pipe)),
        )

    def _line(self, experiment: Experiment) -> tuple[Ends, int]:
        names = [f"t{self._taps + end}" for end in range(2)]
        self._taps += 2
        fds = [open_tap(self._namespace, name) for name in names]
        ports = self._engine.add_ports(fds)
        for fd, name in zip(fds, names, strict=True):
            os.close(fd)
            self._netlink.set_link(name, up=True, mtu=CORE_MTU, txqlen=TAP_QUEUE)
        spec = PipeSpec(ports[0], 0, ports[1], 0, experiment.model, experiment.seed)
        (pipe,) = self._engine.add_pipes([spec])
        return Ends((self._namespace, names[0]), (self._namespace, names[1])), pipe

    def _change(self, pipe: int, change: Change) -> int:
        asked = PipeChange(pipe, change.model, down=change.down, blackhole=change.silent, paused=change.frozen)
        changed_ns = self._engine.set_pipes([asked])
        return changed_ns if change.trace is None else self._engine.follow_trace([pipe], change.trace)

    def close(self) -> None:
        """End the engine and let the TAPs go."""
        self._awake.close()
        self._engine.close()
        self._namespace.close()
