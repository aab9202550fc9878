"""Isolation of a running network, proved over the rules read back from its switches and probed with real packets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from helsewan.controller.openflow.entries import RuleSet
from helsewan.emulation.routers.switches import BRIDGE
from helsewan.lab.probing.local_prober import LocalProber
from helsewan.lab.probing.packet_injector import ScheduledFrame
from helsewan.lab.probing.verify_live import verify_live
from helsewan.lab.proofs.verification import proved
from helsewan.lab.server.rules_process import read_all
from helsewan.policies.language.timestamps import utc_now
from helsewan.policies.plan import Protocol
from helsewan.testing.wan import Wan
from helsewan.topology.model import Site
from helsewan.verification.concrete.fabric import Fabric
from helsewan.verification.cudd import load_cudd
from helsewan.verification.dump.dump import Dump
from helsewan.verification.dump.observed import observed_failures
from helsewan.verification.findings import VerificationReport
from helsewan.verification.live.generators.draft import DraftContext, UpperLayer, echo, ported
from helsewan.verification.live.live_report import LiveReport
from helsewan.verification.live.test_packets import mark_of
from helsewan.verification.reports.witness import in_words
from helsewan.verification.symbolic.header_space import packet_of
from helsewan.verification.symbolic.static_model import Static

LISTEN_S = 0.5  # after the last probe: longer than any one-way delay of a network without overload
GAP_US = 500  # between two probes
OTHER_PORTS = 4  # random ones, beside those of all services


@dataclass(frozen=True)
class Isolation:
    """The isolation of ``wan`` as it stands now."""

    wan: Wan

    def rules(self) -> Dump:
        """The rules of all switches, read back. Raises ReadingFailed where a switch does not answer."""
        network, plan = self.wan.network, self.wan.plan
        answers = read_all(network, str(self.wan.emulation.run_dir / "{router}" / f"{BRIDGE}.mgmt"))
        held = {router: each.decode() if each else None for router, each in answers.items()}
        rules = {router: RuleSet() if each is None else each for router, each in held.items()}
        at = utc_now()
        return Dump.of(plan, rules, "read from the switches", observed_failures(network, held), at)

    def prove(self, failures: str = "none") -> VerificationReport:
        """What the rules do to every packet, compared with the policy, in the failure cases of a scope. Raises
        InputError where the proof's library is missing."""
        load_cudd()
        return proved(self.wan.plan, self.rules(), failures)

    def probe(self, seed: int = 1, most: int | None = 200) -> LiveReport:
        """Send probe packets of every kind that ``seed`` selects; compare what becomes of them with the rules and the
        policy."""
        dump = self.rules()
        return verify_live(self.wan.plan, dump.rules, LocalProber(self.wan.testbed.namespaces()), seed, most, dump.down)

    def require(self, probes: int = 200, failures: str = "none", seed: int = 1) -> None:
        """The network does what its policy says and nothing else: by proof, and by probes. Raises AssertionError with
        the first counterexamples."""
        report = self.prove(failures)
        found = [*report.violations, *self.probe(seed, probes).findings]
        if found:
            shown = "\n  ".join(str(finding) for finding in found[:5])
            raise AssertionError(f"{len(found)} violations of policy {self.wan.plan.policy}:\n  {shown}")
        if report.is_vacuous:
            raise AssertionError(f"policy {self.wan.plan.policy} denies nothing here: there is nothing to prove")

    def require_apart(self, one: str, other: str, seed: int = 1) -> None:
        """Nothing that either of two sites sends reaches the other: by proof over the rules, and by probes. Raises
        AssertionError with a packet that does."""
        first, second = self.wan.site(one).site, self.wan.site(other).site
        load_cudd()
        dump = self.rules()
        static = Static(self.wan.network, dump.rules)
        for sender, receiver in ((first, second), (second, first)):
            for number in range(len(sender.accesses)):
                packets = static.delivered((sender.id, number), receiver.id)
                if packets != static.space.none:
                    witness = in_words(packet_of(static.space.example(packets)))
                    raise AssertionError(f"{sender.id} reaches {receiver.id}, by the rules in force: {witness}")
        for sender, receiver in ((first, second), (second, first)):
            sent, leaked = self._probed(sender, receiver, dump, seed)
            if leaked:
                raise AssertionError(f"{leaked} of {sent} probes from {sender.id} arrived at {receiver.id}")

    def _probed(self, sender: Site, receiver: Site, dump: Dump, seed: int) -> tuple[int, int]:
        """How many probes were sent from site to site, and how many arrived: answers to the sender do not count."""
        frames = list(self._frames(sender, receiver, dump, seed))
        scheduled = [ScheduledFrame(sender.id, 0, frame, number * GAP_US) for number, frame in enumerate(frames)]
        ends = {site.id: self.wan.site(site.id).namespace for site in (sender, receiver)}
        result = LocalProber(ends).inject(scheduled, mark_of(seed), LISTEN_S)
        if result.unsent:
            raise AssertionError(f"{result.unsent} of {len(frames)} probes of {sender.id} could not be sent")
        return len(frames), sum(each.site == receiver.id for each in result.received)

    def _frames(self, sender: Site, receiver: Site, dump: Dump, seed: int) -> Iterator[bytes]:
        """One packet for each service of the policy and a few other ports, over both IP versions."""
        plan, rng = self.wan.plan, Random(f"{seed}:{sender.id}:{receiver.id}")
        context = DraftContext(plan, Fabric.of(plan.network, dump.rules), rng)
        mark = mark_of(seed)
        for version in (4, 6):
            ends = context.endpoints(sender, receiver, version)
            openings: list[UpperLayer] = [context.opening(service, version) for service in plan.services]
            openings += [echo(version)]
            for protocol in (Protocol.TCP, Protocol.UDP):
                openings += [
                    ported(protocol, context.client_port(), rng.randrange(1, 1 << 16)) for _ in range(OTHER_PORTS)
                ]
            for opening in openings:
                yield ends.frame(opening)(mark)
