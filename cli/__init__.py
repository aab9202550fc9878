"""The command line: a module for each verb or group of verbs (`up` has `down` too, `exec` has `shell`).

Entry point: `main.main`, which assembles the verbs and maps errors to exit codes. `options` defines what verbs share;
`tables` has what they print. May import every package; none may import it.
"""

import os
import signal
import sys

_MODULE = "helsewan.cli.main"


def _is_command() -> bool:
    """Whether this process is the command, rather than a program that imports this package."""
    return os.path.basename(sys.argv[0]) == "helsewan" or sys.orig_argv[1:3] == ["-m", _MODULE]


def interruptible() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if _is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until `main` handles it: a Ctrl-C while modules are imported ends the process at once, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
