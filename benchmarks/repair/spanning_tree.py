"""``python -m benchmarks.repair.spanning_tree SOCKET``: Ryu's spanning-tree learning switch at the least times that
IEEE 802.1D-2004 (table 17-1) allows. Run with the Python of .venv-ryu."""

from __future__ import annotations

import logging
import socket
import sys

import eventlet.wsgi

eventlet.wsgi.ALREADY_HANDLED = object()  # Ryu imports it; eventlet has removed it

from ryu.app import simple_switch_stp_13  # noqa: E402
from ryu.cmd import manager  # noqa: E402
from ryu.controller import controller  # noqa: E402
from ryu.lib import stplib  # noqa: E402

# Ryu sets TCP_NODELAY, which Unix sockets lack: an option that they have takes its place.
controller.IPPROTO_TCP, controller.TCP_NODELAY = socket.SOL_SOCKET, socket.SO_KEEPALIVE

TIMES = {"hello_time": 1, "max_age": 6, "fwd_delay": 4}  # s; by default 2, 20, 15
BRIDGES = 5
FIRST_PRIORITY, PRIORITY_STEP = 0x1000, 0x1000  # the first bridge is the root


class QuickSpanningTree(simple_switch_stp_13.SimpleSwitch13):  # type: ignore[misc]
    """Ryu's application with other timers."""

    _CONTEXTS = {"stplib": stplib.Stp}  # noqa: RUF012

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        priorities = {number: FIRST_PRIORITY + PRIORITY_STEP * (number - 1) for number in range(1, BRIDGES + 1)}
        self.stp.set_config({number: {"bridge": {"priority": p, **TIMES}} for number, p in priorities.items()})


if __name__ == "__main__":
    listen = ["--ofp-listen-host", sys.argv[1], "--ofp-tcp-listen-port", "6653"]  # the port is required with any host
    quiet = ["--default-log-level", str(logging.WARNING)]  # otherwise it logs every packet that it gets
    manager.main(args=[*listen, *quiet, "benchmarks.repair.spanning_tree"], prog="ryu-manager")
