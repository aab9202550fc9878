"""The one door to the OpenFlow framework: os-ken, or Ryu 4.34 where os-ken is not installed.

Under os-ken's native hub (threads) four things fail without a word; each is held here:

* a lost switch is noticed only when an echo is due: `_Datapath` says so the moment its socket closes,
  and echoes are on for switches that hang;
* an exception in a handler ends the application's event loop: `handles` guards every handler;
* ``hub.spawn`` swallows exceptions: `spawn` hands them to a callback;
* its threads keep the process alive: all are started from a daemon thread, and so are daemons.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OSKEN_HUB_TYPE", "native")

if importlib.util.find_spec("os_ken"):
    from os_ken import cfg
    from os_ken.base.app_manager import AppManager
    from os_ken.base.app_manager import OSKenApp as RyuApp
    from os_ken.controller import controller, ofp_event, ofp_handler
    from os_ken.controller.handler import DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
    from os_ken.lib import hub
    from os_ken.ofproto import ofproto_protocol, ofproto_v1_3, ofproto_v1_3_parser
else:
    importlib.import_module("eventlet.wsgi").__dict__["ALREADY_HANDLED"] = object()  # Ryu imports it; it is gone
    from ryu import cfg
    from ryu.base.app_manager import AppManager, RyuApp
    from ryu.controller import controller, ofp_event, ofp_handler
    from ryu.controller.handler import DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
    from ryu.lib import hub
    from ryu.ofproto import ofproto_protocol, ofproto_v1_3, ofproto_v1_3_parser

__all__ = [
    "DEAD_DISPATCHER",
    "MAIN_DISPATCHER",
    "Queue",
    "QueueEmpty",
    "RyuApp",
    "describer",
    "handles",
    "listen",
    "ofp_event",
    "ofproto_v1_3",
    "ofproto_v1_3_parser",
    "spawn",
    "start",
    "wait_for_signal",
]

hub.patch()  # does nothing under the native hub

Queue, QueueEmpty = hub.Queue, hub.QueueEmpty
OnFault = Callable[[BaseException], None]

_SOCKET_TIMEOUT_S = 30.0  # a switch that takes nothing for so long is given up
_ECHO_INTERVAL_S = 5.0
_ECHOES_UNREPLIED = 3
_SIGNAL_INTERVAL_S = 0.1
_NATIVE = getattr(hub, "HUB_TYPE", "eventlet") == "native"  # Ryu knows eventlet only


def describer() -> Any:
    """What the parser's classes need to know of a switch: that it speaks OpenFlow 1.3."""
    return ofproto_protocol.ProtocolDesc(version=ofproto_v1_3.OFP_VERSION)


def handles(event: Any, *states: str) -> Callable[[Callable[[Any, Any], None]], Any]:
    """Makes a method the handler of an event; what it raises goes to the application's ``fault``."""

    def decorate(handler: Callable[[Any, Any], None]) -> Any:
        @functools.wraps(handler)
        def guarded(app: Any, ev: Any) -> None:
            try:
                handler(app, ev)
            except Exception as error:
                app.fault(error)

        return set_ev_cls(event, list(states))(guarded)

    return decorate


def spawn(function: Callable[[], None], on_fault: OnFault) -> Any:
    """Runs ``function`` in a thread of its own; what it raises goes to ``on_fault``."""

    def guarded() -> None:
        try:
            function()
        except BaseException as error:
            on_fault(error)

    return hub.spawn(guarded)


def start(application: type[Any], *args: Any) -> Any:
    """Makes the application and starts it, with the framework's own OpenFlow handler beside it."""
    cfg.CONF(args=[], project="helsewan", default_config_files=[], default_config_dirs=[])
    cfg.CONF.set_override("socket_timeout", _SOCKET_TIMEOUT_S)
    cfg.CONF.set_override("echo_request_interval", _ECHO_INTERVAL_S)
    cfg.CONF.set_override("maximum_unreplied_echo_requests", _ECHOES_UNREPLIED)
    manager = AppManager.get_instance()
    apps = [manager.instantiate(_Handler), manager.instantiate(application, *args)]
    for app in apps:
        _from_daemon(app.start)
    return apps[1]


def listen(path: str, on_fault: OnFault) -> None:
    """Takes in switches on a Unix socket, each in a thread of its own. Returns when the socket listens.

    Raises OSError where the socket cannot be made."""
    server = hub.listen(path, family=socket.AF_UNIX)

    def accept() -> None:
        while True:
            stream, _ = server.accept()
            spawn(functools.partial(_serve, stream, path), on_fault)

    _from_daemon(functools.partial(spawn, accept, on_fault))


def wait_for_signal(*signals: signal.Signals) -> None:
    """Returns when one of these (blocked) signals has come; the framework's threads run meanwhile."""
    while signal.sigtimedwait(signals, 0) is None:
        hub.sleep(_SIGNAL_INTERVAL_S)


def _from_daemon(function: Callable[[], object]) -> None:
    """Calls ``function`` so that the threads it starts are daemons: what a daemon starts is one. Eventlet's threads
    all live in the one that runs its hub."""
    if not _NATIVE:
        function()
        return
    starter = threading.Thread(target=function, daemon=True)
    starter.start()
    starter.join()


def _serve(stream: Any, path: str) -> None:
    """One switch's connection, until it ends."""
    datapath = _Datapath(_UnixStream(stream), path)
    try:
        datapath.serve()
    finally:
        datapath.close()


class _Handler(ofp_handler.OFPHandler):  # type: ignore[misc]
    """The framework's handshake, port and echo handling, without its TCP server: switches come in by `listen`."""

    def start(self) -> None:
        RyuApp.start(self)


class _UnixStream:
    """A Unix socket where the framework expects TCP: it takes no TCP options."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def setsockopt(self, *_: Any) -> None:
        """The framework asks for no delay, which Unix sockets have not got."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Datapath(controller.Datapath):  # type: ignore[misc]
    """A switch whose loss is known at once, not when the next echo is due."""

    def _recv_loop(self) -> None:
        try:
            super()._recv_loop()
        finally:
            self.close()
            self.send(b"", close_socket=True)  # wakes the sending thread, which ends
