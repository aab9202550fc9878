"""Measures the delay that the idle machine adds in a running network, and subtracts it from the delays of its links."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from helsewan.emulation.kernel.backend import KernelBackend
from helsewan.emulation.links.engine_backend import EngineBackend
from helsewan.emulation.links.pipe_model import Direction
from helsewan.emulation.routers.switches import RouterSwitch
from helsewan.lab.calibration import calibration
from helsewan.lab.calibration.calibration import CalibrationPath, Overhead
from helsewan.lab.flows.flow_engine import SocketIn
from helsewan.policies.plan import Plan


@dataclass(frozen=True)
class Calibrated:
    """The machine's ``overhead``, and the links whose delay is too short to compensate it, with the difference (us)."""

    overhead: Overhead
    short_links_us: Mapping[str, float]


def calibrate(
    paths: Sequence[CalibrationPath],
    plan: Plan,
    backend: EngineBackend | KernelBackend,
    switches: Sequence[RouterSwitch],
    socket_in: SocketIn,
    excluded: Collection[str],
) -> Calibrated:
    """Measure the overhead with datagrams on ``paths``, of many lengths, and make every direction to a router deliver
    earlier by the overhead of one link, except for ``excluded`` links (the management network's). With the link engine,
    frames are then followed through the routers, and the remaining overhead at the ends is measured and compensated
    too."""

    def delays_us() -> list[list[float]]:
        return calibration.measure_us(paths, plan, socket_in)

    overhead = calibration.undisturbed(lambda: calibration.fit(paths, delays_us()))
    core_us = overhead.core_us
    between_routers = {link.id for link in plan.network.links}
    to_routers = [
        (name, direction)
        for name in backend.links
        for direction in (Direction if name in between_routers else (Direction.FORWARD,))
        if name not in excluded
    ]
    backend.compensate_delay(dict.fromkeys(to_routers, core_us))
    if isinstance(backend, EngineBackend):  # the kernel does not recognise returning frames
        backend.engine.follow_frames(0.0)
        remaining = calibration.undisturbed(lambda: _remaining(paths, delays_us, switches))
        backend.engine.follow_frames(remaining.ends_us)
        overhead = replace(overhead, ends_us=remaining.ends_us, hop_us=remaining.hop_us)
    model_delays_us = {name: backend.models[name][0].delay_us for name, _ in to_routers}
    return Calibrated(overhead, calibration.short_links_us(model_delays_us, core_us))


def _remaining(
    paths: Sequence[CalibrationPath], delays_us: Callable[[], list[list[float]]], switches: Sequence[RouterSwitch]
) -> Overhead:
    """The overhead that remains at both ends of a path, and the processor time of a router's switch per datagram."""
    kind = type(switches[0])
    before_ns = kind.switching_ns(switches)
    ends_us = calibration.remaining_us(paths, delays_us())
    hop_us = (kind.switching_ns(switches) - before_ns) / 1000 / max(1, calibration.router_visits(paths))
    return Overhead(ends_us=ends_us, hop_us=hop_us)
