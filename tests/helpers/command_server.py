"""Runs the command line, each time in a fork of this process, which has loaded what the verbs load.

Arguments: the descriptor of a socket, on which come arguments, directory and environment, with descriptors of standard
output and errors, and the exit code goes back; and the name of a module that cannot be imported, or nothing.
"""

from __future__ import annotations

import ast
import os
import socket
import sys

if sys.argv[2]:
    sys.modules[sys.argv[2]] = None  # type: ignore[assignment]  # stops its import, as where it was not built

import helsewan.lab.client.client
import helsewan.policies.compile
import helsewan.scenarios.run.launcher
import helsewan.topology.network_source  # noqa: F401
from helsewan.cli.main import main

MAX_BYTES = 1 << 17


def serve(commands: socket.socket) -> None:
    """Fork for every command; returns in the forks, ready to run it."""
    while True:
        request, streams, _, _ = socket.recv_fds(commands, MAX_BYTES, 2)
        if not request:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            argv, cwd, environment = ast.literal_eval(request.decode())
            os.chdir(cwd)
            os.environb.clear()
            os.environb.update(environment)
            for number, stream in enumerate(streams, 1):
                os.dup2(stream, number)
                os.close(stream)
            commands.close()
            sys.argv = ["helsewan", *map(os.fsdecode, argv)]
            return
        for stream in streams:
            os.close(stream)
        commands.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


serve(socket.socket(fileno=int(sys.argv[1])))
main()
