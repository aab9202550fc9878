"""Assertions on an emulated network, with messages that say what was measured between whom."""

from __future__ import annotations

import time
from collections.abc import Iterable

from helsewan.common.units import parse_share
from helsewan.scenarios.results.measure import Figures
from helsewan.testing import traffic
from helsewan.testing.isolation import Isolation
from helsewan.testing.waiting import seconds, shown_time
from helsewan.testing.wan import Wan

PING_EVERY_S = 0.05


def assert_reachable(wan: Wan, client: str, server: str, port: int = 0, within: str | float = "5 s") -> None:
    """``server`` (a site or an address) answers ``client`` within a time: a ping, or with ``port`` a TCP connection."""
    limit_s, began = seconds(within), time.monotonic()
    reason = ""
    while True:
        left_s = limit_s - (time.monotonic() - began)
        if left_s <= 0:
            what = f"TCP port {port} of {server}" if port else server
            raise AssertionError(
                f"{client} does not reach {what} within {shown_time(limit_s)}: {reason or 'no answer'}"
            )
        if port:
            try:
                wan.connect(client, server, port, left_s).close()
                return
            except OSError as error:
                reason = str(error)
        else:
            answered, reason = _pinged(wan, client, server, min(left_s, 1.0))
            if answered:
                return
        time.sleep(PING_EVERY_S)


def assert_isolated(wan: Wan, one: str, other: str) -> None:
    """Nothing passes between two sites, either way: proved over the rules read back from all switches, and probed with
    real packets of every kind of service."""
    Isolation(wan).require_apart(one, other)


def assert_delay(
    wan: Wan, client: str, server: str, at_most: str | float, at_least: str | float = 0, count: int = 20
) -> float:
    """The median round trip of ``count`` pings lies within bounds; returns it in seconds."""
    times_ms = wan.run_on(client, ["ping", "-n", "-i", "0.02", "-c", str(count), "-W", "2", wan.address_of(server)])
    found = sorted(_times_ms(times_ms.stdout))
    if len(found) < count:
        raise AssertionError(f"{client} to {server}: {count - len(found)} of {count} pings without an answer")
    median_s = found[len(found) // 2] / 1000
    if not seconds(at_least) <= median_s <= seconds(at_most):
        bounds = f"{shown_time(seconds(at_least))} to {shown_time(seconds(at_most))}"
        raise AssertionError(
            f"{client} to {server}: a round trip takes {median_s * 1000:.2f} ms in the median "
            f"({found[0]:.2f} to {found[-1]:.2f} ms), not {bounds}"
        )
    return median_s


def assert_loss(figures: Figures, at_most: str, at_least: str = "0 %") -> None:
    """The loss of a stream (`traffic.Stream.stop`) lies within bounds, as ``"1 %"``."""
    lowest, most = parse_share(at_least), parse_share(at_most)
    if not figures.sent:
        raise AssertionError("nothing was sent: there is no loss to be judged")
    if not lowest <= figures.loss <= most:
        raise AssertionError(
            f"{figures.lost} of {figures.sent} datagrams were lost: {figures.loss:.3%}, not {at_least} to {at_most}"
        )


def assert_class_guarantee(
    wan: Wan,
    client: str,
    server: str,
    service: str,
    under: Iterable[tuple[str, str, str]],
    rate_bps: int,
    loss: str = "0.1 %",
) -> Figures:
    """Datagrams of ``service`` from ``client`` to ``server`` at ``rate_bps`` (UDP payload) arrive with at most ``loss``
    while streams ``under`` (client, server, service) overload the path; returns the figures."""
    with traffic.overload(wan, under):
        figures = traffic.stream(wan, client, server, service, rate_bps=rate_bps, duration="3 s").wait()
    assert_loss(figures, loss)
    return figures


def assert_failover(wan: Wan, client: str, server: str, service: str, within: str | float, **fault: str) -> float:
    """A fault (as ``Faults.fail`` takes it) silences a stream of ``service`` for no longer than ``within``; returns the
    longest silence in seconds. The stream must flow before, and again after."""
    flowing = traffic.stream(wan, client, server, service, duration="60 s")
    flowing.wait_for_arrivals(20)
    undo = wan.faults.fail(**fault)
    time.sleep(seconds(within) + 0.5)  # the time to be judged, and some after it
    figures = flowing.stop()
    undo()
    silent_s = figures.gap_us / 1e6
    named = ", ".join(f"{key} {text}" for key, text in fault.items())
    if not silent_s <= seconds(within):
        raise AssertionError(
            f"{client} to {server}: silent for {silent_s * 1000:.1f} ms after the fault of {named}, "
            f"not at most {shown_time(seconds(within))} ({figures.lost} of {figures.sent} datagrams lost)"
        )
    return silent_s


def _pinged(wan: Wan, client: str, server: str, wait_s: float) -> tuple[bool, str]:
    argv = ["ping", "-n", "-c", "1", "-W", f"{max(wait_s, 0.05):.2f}", wan.address_of(server)]
    done = wan.run_on(client, argv)
    said = [line for line in (done.stdout + done.stderr).splitlines() if "nreachable" in line or "rohibited" in line]
    return done.status == 0, said[0].strip() if said else "no answer to a ping"


def _times_ms(text: str) -> list[float]:
    return [float(line.rpartition("time=")[2].split()[0]) for line in text.splitlines() if "time=" in line]
