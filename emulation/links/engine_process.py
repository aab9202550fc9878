"""The link engine's process: runs the loop, and handles its client's requests between two iterations.

``python -m helsewan.emulation.links.engine_process CONTROL_FD COUNTERS_FD MAX_PORTS MAX_PIPES MEMORY_BYTES
WITH_THREAD``, started by ``EngineProcess`` in ``emulation/links/engine.py``. It ends when the control socket is closed,
or, if WITH_THREAD is 1, when the thread that started it ends.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal
import socket
import sys
import time
from typing import Any

from helsewan.emulation import _linkengine
from helsewan.emulation.links.engine_protocol import receive_message, send_message
from helsewan.emulation.sandbox.realtime import LINKS, set_realtime

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_TIMERSLACK = 29
_MCL_CURRENT, _MCL_ONFAULT = 1, 4


class EngineServer:
    """Answers a client's messages for one engine."""

    def __init__(self, engine: _linkengine.Engine) -> None:
        self._engine = engine

    def answer(self, message: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """The reply to a message; errors are returned as a reply, ``{"error": …}``. A ``descriptor`` in it is of this
        process, and to be passed on with it."""
        added = 0  # ports: their descriptors belong to the engine
        try:
            match message.pop("op"):
                case "configure":
                    self._configure(**message)
                    return {}
                case "add_ports":
                    ports = []
                    for fd in fds:
                        ports.append(self._engine.add_port(fd))
                        added += 1
                    return {"ports": ports}
                case "add_rings":
                    return {"ports": [self._engine.add_rings(fd, message["entries"]) for fd in fds]}
                case "set_rings":
                    self._engine.set_rings(message["ports"], message["active"])
                    return {}
                case "call_fd":
                    return {"descriptor": self._engine.call_fd()}
                case "add_pipes":
                    return {"pipes": self._engine.add_pipes(message["queues"], message["pipes"])}
                case "set_pipes":
                    self._engine.set_pipes(message["queues"], message["changes"])
                    return {"applied_at_ns": time.time_ns()}
                case "follow_trace":
                    self._follow_trace(fds, **message)
                    return {"applied_at_ns": time.time_ns()}
                case "start_capture":
                    self._engine.start_capture(message["pipes"], fds[0], message["snap_bytes"])
                    return {}
                case "stop_capture":
                    self._engine.stop_capture(message["pipes"])
                    return {}
                case "report_too_long":
                    self._engine.report_too_long(fds[0])
                    return {}
                case "compensate_delay":
                    self._engine.compensate_delay([tuple(row) for row in message["early"]])
                    return {}
                case "follow_frames":
                    self._engine.follow_frames(message["origin_ns"])
                    return {}
                case "restart_lateness":
                    self._engine.restart_lateness()
                    return {}
                case unknown:
                    raise ValueError(f"unknown operation {unknown!r}")
        except Exception as error:  # no message may end the loop
            return {"error": f"{type(error).__name__}: {error}"}
        finally:
            for fd in fds[added:]:
                os.close(fd)

    def _configure(self, dscp: list[int], tc: list[int], other: int) -> None:
        self._engine.configure(bytes(dscp), bytes(tc), other)

    def _follow_trace(self, fds: list[int], pipes: list[int], columns: list[bool] | None, repeat_ns: int = 0) -> None:
        if columns is None:
            self._engine.follow_trace(pipes, None, 0, False, False, False)
            return
        with mmap.mmap(fds[0], 0, access=mmap.ACCESS_READ) as points:
            self._engine.follow_trace(pipes, points, repeat_ns, *columns)

    def serve(self, control: socket.socket) -> None:
        """Run the engine until the client closes the socket."""
        while True:
            self._engine.run(control.fileno())
            received = receive_message(control)
            if received is None or not _is_sent(control, self.answer(*received)):
                return


def _is_sent(control: socket.socket, message: dict[str, Any]) -> bool:
    """Send a message; False where the client has gone, which is no error: it may have been interrupted."""
    try:
        send_message(control, message, [message["descriptor"]] if "descriptor" in message else [])
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


def _prepare(with_thread: bool) -> dict[str, Any]:
    """Set the process's name, signals, priority and memory locking; returns what was granted, for the client."""
    libc = ctypes.CDLL(None, use_errno=True)
    if with_thread:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_TIMERSLACK, 1)
    libc.prctl(_PR_SET_NAME, b"link-engine")  # the name that ps and perf show
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from the terminal: handled by the client
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    locked = libc.mlockall(_MCL_CURRENT | _MCL_ONFAULT) == 0  # not later mappings: a limit would make those fail
    return {"scheduling": set_realtime(LINKS), "memory_locked": locked}


def main(arguments: list[str]) -> None:
    """Serve the client at the other end of the control socket until it closes it."""
    control_fd, counters_fd, max_ports, max_pipes, memory_bytes, with_thread = map(int, arguments)
    with socket.socket(fileno=control_fd) as control:
        engine = _linkengine.Engine(mmap.mmap(counters_fd, 0), max_ports, max_pipes, memory_bytes)
        if _is_sent(control, _prepare(bool(with_thread))):
            EngineServer(engine).serve(control)


if __name__ == "__main__":
    main(sys.argv[1:])
