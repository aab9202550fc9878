"""``python -m helsewan.controller.main --plan FILE --listen ADDRESS:PORT --key FILE --certificate FILE --authority FILE
--events FD_OR_PATH``: command line of the controller process.

The plan is a pickle that the parent wrote for this run alone; switches connect over mutual TLS; every event is one
JSON line with the time in nanoseconds since the epoch (CLOCK_REALTIME). The process ends with its parent.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from ipaddress import IPv4Address
from pathlib import Path

from helsewan.common.errors import InputError, Problem
from helsewan.common.exit_codes import ExitCode
from helsewan.common.processes import die_with_parent
from helsewan.controller.control.event_log import EventLog
from helsewan.controller.control.tls import server_context

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


def socket_address(text: str) -> tuple[str, int]:
    """Parses ``ADDRESS:PORT``; port 0 is any free port. Raises InputError."""
    host, _, port = text.rpartition(":")
    try:
        return str(IPv4Address(host)), int(port)
    except ValueError:
        hint = "write an IPv4 address and a port, such as 127.0.0.1:6653"
        raise InputError(Problem("--listen", text, "is no address and port", hint)) from None


def main(argv: list[str] | None = None) -> int:
    """Runs the controller; returns exit status 0 after SIGTERM or SIGINT, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="controller", description="OpenFlow controller of one run")
    parser.add_argument("--plan", required=True, type=Path, help="pickled plan, readable by this user alone")
    parser.add_argument("--listen", required=True, help="ADDRESS:PORT that switches connect to")
    parser.add_argument("--key", required=True, type=Path, help="the controller's key (PEM)")
    parser.add_argument("--certificate", required=True, type=Path, help="the controller's certificate (PEM)")
    parser.add_argument("--authority", required=True, type=Path, help="CA certificate (PEM) for switches' certificates")
    parser.add_argument("--events", required=True, help="file descriptor or path for JSON lines")
    parser.add_argument("--door", type=Path, help="unix socket to create for the northbound server")
    parser.add_argument("--changes", type=Path, help="audit log of changes, appended to")
    options = parser.parse_args(argv)
    die_with_parent()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        context = server_context(options.key, options.certificate, options.authority)
        address, log = socket_address(options.listen), EventLog(options.events)
        from helsewan.controller.process import ControllerProcess  # starts threads, which inherit the signal mask

        ControllerProcess(options, log).run(address, context, SIGNALS)
    except (InputError, OSError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    return ExitCode.PASS


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(main())
