"""Policies as plain data, compiled."""

from __future__ import annotations

from typing import Any

from helsewan.common.document import Document
from helsewan.policies.compile import compile_policy
from helsewan.policies.language.schema import PolicySpec
from helsewan.policies.language.source import Policy
from helsewan.policies.plan import Plan
from helsewan.topology.model import Network

TARGETS = {"delay": "1 s", "jitter": "1 s", "loss": "1 %"}


CLASSES = {
    "rest": {"queue": 0, "dscps": [0], "scheduling": "weighted", "weight": 1, "buffer": "1 s", "targets": TARGETS}
}


SERVICES = {
    name: {"protocol": protocol, "ports": [port], "class": "rest"}
    for name, protocol, port in (("a", "tcp", 1), ("b", "tcp", 2), ("c", "udp", 1))
}


def compiled(data: dict[str, Any], network: Network) -> Plan:
    return compile_policy(Policy(PolicySpec.model_validate(data), Document("drawn.yaml", data)), network)
