"""``python -m helsewan.controller.northbound.main --plan FILE --door SOCKET --events FILE --changes FILE --tokens FILE
--listener DESCRIPTOR``: the northbound server's process.

It runs beside the controller at a lower priority: expensive views are computed here.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

from helsewan.common.errors import InputError
from helsewan.common.exit_codes import ExitCode
from helsewan.common.processes import die_with_parent
from helsewan.controller.northbound.api import authenticated
from helsewan.controller.northbound.context import Context
from helsewan.controller.northbound.controller_client import ControllerClient
from helsewan.controller.northbound.server import server
from helsewan.controller.northbound.tokens import read_tokens

_NICE = 10


def main(argv: list[str] | None = None) -> int:
    """Runs the server; returns exit status 0 after SIGTERM or SIGINT, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="northbound", description="REST, events and metrics of one run's controller")
    parser.add_argument("--plan", required=True, type=Path, help="the controller's plan file")
    parser.add_argument("--door", required=True, type=Path, help="the controller's control socket (unix)")
    parser.add_argument("--events", required=True, type=Path, help="events, as JSON lines")
    parser.add_argument("--changes", required=True, type=Path, help="the controller's audit log of changes")
    parser.add_argument("--tokens", required=True, type=Path, help="accepted tokens: NAME.SECRET, one a line")
    parser.add_argument("--listener", required=True, type=int, help="descriptor of the listening socket")
    options = parser.parse_args(argv)
    die_with_parent()
    os.nice(_NICE)
    try:
        context = Context.of(ControllerClient(options.door, options.plan), options.events, options.changes)
        app = authenticated(context, read_tokens(options.tokens))
        server(app).run([socket.socket(fileno=options.listener)])
    except (InputError, OSError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    return ExitCode.PASS


if __name__ == "__main__":
    sys.exit(main())
