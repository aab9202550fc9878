"""TTL in the core by the uniform model (RFC 3443, 3.1): a pushed label gets the packet's TTL, every router decrements
the TTL of the top label, and a pop copies it to the header below. So the TTL counts routers, and traceroute shows them.

Open vSwitch copies the TTL on push by itself, but lacks OpenFlow's copy_ttl_in.
"""

from __future__ import annotations

from helsewan.controller.openflow.entries import MPLS, Action, Move, PopMpls

REGISTER = "reg1"  # holds the TTL during the pop
_TTL_BITS = 8


SAVE_TTL = Move("mpls_ttl", REGISTER, _TTL_BITS)


def pop_label(eth_type: int) -> tuple[Action, ...]:
    """Pops the top label and copies its TTL to the header below, whose EtherType is ``eth_type``."""
    return SAVE_TTL, *pop_and_restore_ttl(eth_type)


def pop_and_restore_ttl(eth_type: int) -> tuple[Action, ...]:
    """Pops the top label and copies the TTL saved by `SAVE_TTL` to the header below, of EtherType ``eth_type``."""
    below = "mpls_ttl" if eth_type == MPLS else "nw_ttl"
    return PopMpls(eth_type), Move(REGISTER, below, _TTL_BITS)
