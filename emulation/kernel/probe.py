"""Which of the features that ``--dataplane kernel`` requires this kernel has, by trying each in a separate namespace.

The kernel's configuration file is not sufficient, as a module may be missing or fail to load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pyroute2.netlink import genlmsg
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.generic import GenericNetlinkSocket

from helsewan.common.errors import InputError, Problem
from helsewan.emulation.kernel.classifier import too_long_program
from helsewan.emulation.links.pipe_model import CoDel, Red, RedCurve
from helsewan.emulation.netlink import messages, traffic_control
from helsewan.emulation.netlink.bulk import Netlink
from helsewan.emulation.netlink.interfaces import routing
from helsewan.emulation.netlink.traffic_control import Netem, Request
from helsewan.emulation.sandbox.namespaces import Namespace

_DEVICE = "trial"


@dataclass(frozen=True)
class KernelPart:
    """A feature of the kernel: ``option`` is its configuration option, ``purpose`` its use by the kernel dataplane,
    ``needed`` whether that requires it."""

    name: str
    option: str
    purpose: str
    needed: bool = True


@dataclass(frozen=True)
class KernelFeature:
    """Whether the kernel has a feature; if not, ``refusal`` is its error message."""

    part: KernelPart
    refusal: str = ""

    @property
    def has(self) -> bool:
        """Whether the trial succeeded."""
        return not self.refusal


class _Bench:
    """A namespace in which features are tried."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.netlink = Netlink(namespace)
        self._devices = 0

    def device(self) -> int:
        """Create an interface for a trial; returns its index. Raises OSError when there is no veth."""
        name = f"try{self._devices}"
        self._devices += 1
        self.netlink.request([("make a veth", messages.add_veth(name, 1500, f"{name}p"))])
        return self.netlink.index_of(name)


def probe() -> tuple[KernelFeature, ...]:
    """Try every feature. Raises OSError if no namespace can be created."""
    namespace = Namespace()
    try:
        bench = _Bench(namespace)
        return tuple(KernelFeature(part, _refusal(trial, bench)) for part, trial in _TRIALS)
    finally:
        namespace.close()


def missing() -> tuple[KernelFeature, ...]:
    """The features that the kernel dataplane requires and this kernel lacks."""
    return tuple(finding for finding in probe() if finding.part.needed and not finding.has)


def require() -> None:
    """Raise InputError with a problem for each required feature that this kernel lacks."""
    try:
        lacking = missing()
    except PermissionError as error:
        problem = Problem("--dataplane", "kernel", f"may not be tried: {error.strerror}", "run as root or with sudo")
        raise InputError(problem) from None
    problems = [
        Problem(
            "--dataplane kernel",
            finding.part.name,
            f"is not in this kernel: required for {finding.part.purpose} ({finding.refusal})",
            f"boot one with {finding.part.option}; the link engine needs none of it",
        )
        for finding in lacking
    ]
    if problems:
        raise InputError(*problems)


def _refusal(trial: Callable[[_Bench], None], bench: _Bench) -> str:
    try:
        trial(bench)
    except (OSError, NetlinkError) as error:
        return str(error.args[-1])
    return ""


def _qdisc(kind: str, options: bytes = b"") -> Callable[[_Bench], None]:
    def trial(bench: _Bench) -> None:
        bench.netlink.request([traffic_control.qdisc(bench.device(), 0x10000, traffic_control.ROOT, kind, options)])

    return trial


def _classifier(bench: _Bench) -> None:
    index = bench.device()
    below = traffic_control.qdisc(index, 0x10000, traffic_control.ROOT, "htb", traffic_control.htb(1))
    bench.netlink.request([below, traffic_control.classifier(index, 0x10000, 1, too_long_program(None), drop=True)])


def _redirection(make: Callable[[int], Request]) -> Callable[[_Bench], None]:
    def trial(bench: _Bench) -> None:
        index = bench.device()
        bench.netlink.request([traffic_control.clsact(index), make(index)])

    return trial


def _link(kind: str, **attributes: object) -> Callable[[_Bench], None]:
    def trial(bench: _Bench) -> None:
        with routing(bench.namespace) as route:
            route.link("add", ifname=f"try-{kind}", kind=kind, **attributes)

    return trial


def _open_vswitch(bench: _Bench) -> None:
    with bench.namespace.entered(), GenericNetlinkSocket() as generic:
        generic.bind("ovs_datapath", genlmsg)


def _mpls_routing(bench: _Bench) -> None:
    bench.namespace.sysctl({"mpls/platform_labels": 1000})


def _veth(bench: _Bench) -> None:
    bench.device()


def _trials() -> Iterator[tuple[KernelPart, Callable[[_Bench], None]]]:
    curve = RedCurve(10_000, 20_000)
    yield KernelPart("veth", "CONFIG_VETH", "the ends of links"), _veth
    yield KernelPart("htb", "CONFIG_NET_SCH_HTB", "a link's rate"), _qdisc("htb", traffic_control.htb(1))
    yield (
        KernelPart("ets", "CONFIG_NET_SCH_ETS", "strict and weighted queues"),
        _qdisc("ets", traffic_control.ets(1, [1664], 0)),
    )
    yield KernelPart("bfifo", "CONFIG_NET_SCHED", "a queue's limit"), _qdisc("bfifo", traffic_control.bfifo(10_000))
    yield (
        KernelPart("netem", "CONFIG_NET_SCH_NETEM", "delay, jitter and loss"),
        _qdisc("netem", traffic_control.netem(Netem(10))),
    )
    yield KernelPart("bpf, gact", "CONFIG_NET_CLS_BPF, _ACT_GACT", "classification of frames"), _classifier
    yield (
        KernelPart(
            "matchall, mirred, vlan", "CONFIG_NET_CLS_MATCHALL, _ACT_MIRRED, _ACT_VLAN", "connecting the ends of a link"
        ),
        _redirection(lambda index: traffic_control.redirect(index, index, vlan=2)),
    )
    yield (
        KernelPart("flower", "CONFIG_NET_CLS_FLOWER", "access links on a trunk"),
        _redirection(lambda index: traffic_control.untagged_redirect(index, 2, index)),
    )
    yield KernelPart("openvswitch", "CONFIG_OPENVSWITCH", "the routers"), _open_vswitch
    yield (
        KernelPart("red", "CONFIG_NET_SCH_RED", "RED", needed=False),
        _qdisc("red", traffic_control.red(Red((curve,)), 50_000)),
    )
    yield (
        KernelPart("codel", "CONFIG_NET_SCH_CODEL", "CoDel", needed=False),
        _qdisc("codel", traffic_control.codel(CoDel())),
    )
    yield KernelPart("vrf", "CONFIG_NET_VRF", "routing instances", needed=False), _link("vrf", vrf_table=10)
    yield KernelPart("mpls_router", "CONFIG_MPLS_ROUTING", "routing by label", needed=False), _mpls_routing


_TRIALS = tuple(_trials())
