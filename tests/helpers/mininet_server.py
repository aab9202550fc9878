"""A Mininet user's script in a world of its own: runs what tests send it, a Python expression a line.

Started as ``python mininet_server.py NETWORK_FILE``; it makes its own world. Answers are JSON, a line each.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from helsewan.emulation.nodes.lan import add_lan_host
from helsewan.emulation.sandbox import sandbox
from helsewan.lab.emulation import Emulation
from helsewan.topology.importers import network_from


def main() -> None:
    """Answer until standard input ends."""
    sandbox.inhabit()
    with Emulation(network_from(Path(sys.argv[1])), policy="open") as emulation:
        net = emulation.net
        names = {"net": net, "emulation": emulation, "add_lan_host": add_lan_host}
        names |= {"a": net["hospital-a"], "b": net["hospital-b"], "c": net["gp-c"]}
        print(json.dumps("ready"), flush=True)
        for line in sys.stdin:
            try:
                answer = eval(json.loads(line), names)
            except Exception as error:
                answer = f"{type(error).__name__}: {error}"
            print(json.dumps(answer, default=str), flush=True)


if __name__ == "__main__":
    main()
