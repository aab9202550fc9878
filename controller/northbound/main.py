"""``python -m helsewan.controller.northbound.main --plan FILE --door SOCKET --events FILE --changes FILE --tokens FILE
--listener DESCRIPTOR``: the northbound server's process.

It stands beside the controller and gives way to it: what takes long is computed here, at low priority.
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
from helsewan.controller.northbound.api import guarded
from helsewan.controller.northbound.context import Context
from helsewan.controller.northbound.controller_client import ControllerClient
from helsewan.controller.northbound.server import server
from helsewan.controller.northbound.tokens import read_tokens

_NICE = 10


def main(argv: list[str] | None = None) -> int:
    """Command line; exit status 0 when told to end, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="northbound", description="REST, events and metrics of one run's controller")
    parser.add_argument("--plan", required=True, type=Path, help="the controller's plan file")
    parser.add_argument("--door", required=True, type=Path, help="the controller's door, a unix socket")
    parser.add_argument("--events", required=True, type=Path, help="JSON lines of what happens")
    parser.add_argument("--changes", required=True, type=Path, help="the controller's audit log of changes")
    parser.add_argument("--tokens", required=True, type=Path, help="who may come in: NAME.SECRET, one a line")
    parser.add_argument("--listener", required=True, type=int, help="descriptor of the socket that listens")
    options = parser.parse_args(argv)
    die_with_parent()
    os.nice(_NICE)
    try:
        context = Context.of(ControllerClient(options.door, options.plan), options.events, options.changes)
        app = guarded(context, read_tokens(options.tokens))
        server(app).run([socket.socket(fileno=options.listener)])
    except (InputError, OSError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    return ExitCode.PASS


if __name__ == "__main__":
    sys.exit(main())
