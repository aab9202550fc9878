"""A running network: the testbed and its processes, health, calibration and probing; `helsewan up`'s server and client.

Entry points: `Emulation` (for Python programs), `testbed.testbed.Testbed` (brings a network up and injects faults),
`server.up` and `client.client`. May import every package below it: all but `scenarios` and `cli`. Inside, a folder
imports only those to its left:

    programs <- processes, flows, client <- applications, calibration, health <- testbed <- links, probing, supervision
        <- server, proofs, doctor
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from helsewan.lab.emulation import Emulation

__all__ = ["Emulation"]


def __getattr__(name: str) -> object:
    """`Emulation`, imported on first use: most processes need one module of this package only."""
    if name == "Emulation":
        from helsewan.lab.emulation import Emulation

        return Emulation
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
