"""Verification reports made by hand."""

from __future__ import annotations

from functools import cache

from controller_plan import small_plan

from helsewan.controller.openflow.entries import IPV4
from helsewan.controller.rules.generation import first_generation
from helsewan.verification.concrete.fabric import Fabric
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.findings import FindingKind, IsolationProof, VerificationFinding, VerificationReport


@cache
def leak() -> VerificationFinding:
    """A packet that is stopped, for a leak: its way is what counts here."""
    plan = small_plan()
    generation = first_generation(plan)
    fabric = Fabric.of(plan.network, {router.id: generation.rules(router.id) for router in plan.network.routers})
    sender, receiver = plan.network.sites[0], plan.network.sites[-1]
    packet = Packet.of(
        eth_type=IPV4, eth_src=sender.mac, eth_dst=0, ipv4_src=str(sender.address4), ipv4_dst=str(receiver.address4),
        ip_proto=6, tcp_src=40000, tcp_dst=443, tcp_flags=2, ip_dscp=0, ip_frag=0, nw_ttl=64,
    )  # fmt: skip
    walk = fabric.trace_from(sender.id, packet)
    says = f"nobody may open TCP 443 from {sender.id}"
    return VerificationFinding(
        FindingKind.LEAK, "intact", says, "mine.yaml:12", sender.id, 0, receiver.id, packet, walk, alike=3
    )


@cache
def report(*kinds: FindingKind) -> VerificationReport:
    findings = [
        VerificationFinding(kind, "intact", "says <this> & [that]", "", where="north: table 1") for kind in kinds
    ]
    proof = IsolationProof(
        "nothing is delivered that no contract allows", ("intact", "link a-b"), 12, 132, ("ports are up",)
    )
    figures = {"prove_s": 0.25, "total_s": 1.5}
    return VerificationReport("mine", "small", (leak(), *findings), (proof,), figures)
