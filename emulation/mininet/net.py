"""Mininet's network class, without its changes outside the sandbox and its need for additional programs."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from mininet.log import output
from mininet.net import Mininet

from helsewan.common.processes import CommandError
from helsewan.emulation.nodes.nodes import NamespaceNode

_LISTEN_DEADLINE_S = 10.0
_LISTENING = "0A"  # st of proc(5), net/tcp
_EVERY_S = 0.02


class EmulatedNet(Mininet):  # type: ignore[misc]
    """A Mininet of this project's nodes; call ``disable_mininet_init`` before one is created. ``iperf`` needs no
    telnet, and does not wait forever for a server."""

    def iperf(
        self,
        hosts: Sequence[NamespaceNode] | None = None,
        l4Type: str = "TCP",
        udpBw: str = "10M",
        fmt: str | None = None,
        seconds: int = 5,
        port: int = 5001,
    ) -> list[str]:
        """Measure throughput from the first to the second of ``hosts``: returns the server's and the client's figure,
        preceded by ``udpBw`` for UDP. Raises CommandError if iperf fails."""
        client, server = hosts or (self.hosts[0], self.hosts[-1])
        if l4Type not in ("TCP", "UDP"):
            raise ValueError(f"l4Type {l4Type!r}: TCP or UDP")
        udp = l4Type == "UDP"
        common = ["iperf", "-p", str(port), *(["-u"] if udp else []), *(["-f", fmt] if fmt else [])]
        output(f"*** Iperf: testing {l4Type} bandwidth between {client} and {server} \n")
        listening = server.popen([*common, "-s"], text=True, stderr=subprocess.STDOUT)
        try:
            _wait_for_port(listening, "udp" if udp else "tcp", port)
            argv = [*common, "-t", str(seconds), "-c", server.IP(), *(["-b", udpBw] if udp else [])]
            sent, errors, status = client.pexec(argv)
        finally:
            listening.send_signal(signal.SIGINT)
            received, _ = listening.communicate()
        if status or not _rates(sent) or not _rates(received):
            raise CommandError(argv, status, errors or received)
        result = [*([udpBw] if udp else []), _rates(received)[-1], _rates(sent)[-1]]
        output(f"*** Results: {result}\n")
        return result


def disable_mininet_init() -> None:
    """Make all ``Mininet`` objects of this process skip ``Mininet.init``, which changes sysctls of the host
    permanently."""
    Mininet.inited = True


def _rates(output: str) -> list[str]:
    """The rates in iperf's output."""
    return re.findall(r"[\d.]+ \w+/sec", output)


def _wait_for_port(process: subprocess.Popen[str], protocol: str, port: int) -> None:
    """Wait until ``process`` has a server socket. Raises CommandError if it ends or takes too long."""
    until = time.monotonic() + _LISTEN_DEADLINE_S
    while process.poll() is None and time.monotonic() < until:
        table = Path(f"/proc/{process.pid}/net/{protocol}").read_text(encoding="ascii").splitlines()[1:]
        rows = [line.split()[1:4] for line in table]
        if any(local.endswith(f":{port:04X}") and (protocol == "udp" or st == _LISTENING) for local, _, st in rows):
            return
        time.sleep(_EVERY_S)
    printed = process.stdout.read() if process.poll() is not None and process.stdout else ""
    raise CommandError(["iperf", "-s"], process.returncode or "none", printed or "no server socket in time")
