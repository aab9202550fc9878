"""The first process of a sandbox: runs a module's ``main`` with the descriptor of its job.

It imports the module itself, so that a failure to import it is an internal error with a line of its own rather than the
interpreter's exit status 1, which looks like a kill.
"""

from __future__ import annotations

import importlib
import sys
import traceback

from helsewan.common.exit_codes import exit_code_of


def main(module: str, descriptor: int, debug: bool = False) -> int:
    """Returns the exit code of ``module``'s ``main(descriptor)``, or that of the error that it did not handle."""
    try:
        return int(importlib.import_module(module).main(descriptor))
    except Exception as error:
        if debug:
            traceback.print_exc()
        print(f"{module}: {type(error).__name__}: {error}", file=sys.stderr)
        return exit_code_of(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), "--debug" in sys.argv))
