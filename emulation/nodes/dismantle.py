"""Ends nodes in a sandbox that goes on; at a sandbox's end the kernel does it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from helsewan.emulation.nodes.nodes import NamespaceNode
from helsewan.emulation.sandbox.guardian import kill_members


def dismantle(nodes: Sequence[NamespaceNode]) -> None:
    """Kill all processes in the namespaces of ``nodes``, end their shells, and close the namespaces."""
    held = [node for node in nodes if node.namespace.fd >= 0]
    kill_members("net", frozenset(f"net:[{os.fstat(node.namespace.fd).st_ino}]" for node in held))
    for node in held:
        node.terminate()
