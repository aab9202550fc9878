"""TTL through the core by the uniform model (RFC 3443, 3.1): a label starts with the packet's TTL, every router counts
down what is on top, and what a label has counted goes to what is beneath it when it is taken off. So a packet's TTL
counts routers, and traceroute sees them.

Open vSwitch copies the TTL itself when it pushes a label, and does not have OpenFlow's copy_ttl_in.
"""

from __future__ import annotations

from helsewan.controller.openflow.entries import MPLS, Action, Move, PopMpls

REGISTER = "reg1"  # holds the TTL while the label comes off
_TTL_BITS = 8


NOTED = Move("mpls_ttl", REGISTER, _TTL_BITS)  # before the label comes off


def popped(eth_type: int) -> tuple[Action, ...]:
    """Takes the top label off; its TTL goes to what is beneath, which is an ``eth_type``."""
    return NOTED, *restored(eth_type)


def restored(eth_type: int) -> tuple[Action, ...]:
    """Takes the top label off; the TTL that was noted goes to what is beneath, which is an ``eth_type``."""
    below = "mpls_ttl" if eth_type == MPLS else "nw_ttl"
    return PopMpls(eth_type), Move(REGISTER, below, _TTL_BITS)
