"""Mininet's command line on this project's nodes, whose names contain dashes, dots and slashes."""

from __future__ import annotations

import os
import sys
from cmd import IDENTCHARS

from mininet.cli import CLI
from mininet.log import error, setLogLevel
from mininet.net import Mininet

NEEDS_TWO_HOSTS = ("pingpair", "pingpairfull", "iperf", "iperfudp")  # Mininet takes the first and last, unchecked


class NodeCLI(CLI):  # type: ignore[misc]
    """Mininet's CLI: ``SITE command``, ``link A B down``, ``pingall``, ``iperf A B``, ``py net['SITE'].IP()`` ..."""

    identchars = IDENTCHARS + "-./"  # of a first word, which may be a node
    prompt = "helsewan> "

    def onecmd(self, line: str) -> bool | None:
        """Run one command. Whatever it cannot do on this network is said in one line, and the next command is run."""
        try:
            command = self.parseline(line)[0]
            if command in NEEDS_TWO_HOSTS and len(self.mn.hosts) < 2:
                error(f"*** {command} needs two hosts; this network has {len(self.mn.hosts)}\n")
                return None
            stop: bool | None = super().onecmd(line)
            return stop
        except Exception as failure:  # Mininet's commands do not check what they are given
            error(f"*** {line.strip()}: {type(failure).__name__}: {failure}\n")
            return None


def interact(net: Mininet) -> None:
    """Run the CLI on standard input and output until the end of input; input other than a terminal is read as a
    script."""
    setLogLevel("info")
    if os.isatty(0):
        NodeCLI(net)
        return
    empty, _open = os.pipe()  # the script's commands must not read from the script
    with open(empty, encoding="utf-8") as nothing:
        NodeCLI(net, stdin=nothing, script="/proc/self/fd/0", stdout=sys.stdout)
