"""The checks of `helsewan doctor`, as plain values and their assessment. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

# Memory of a site, of all routers by kind, and of the rest of a run (docs/benchmarks.md).
SITE_BYTES = 400_000
ROUTERS_BYTES = {"shared": 150_000_000, "private": 39 * 22_000_000}  # of the 39 routers of the national network
RUN_BYTES = 700_000_000
ROUTERS = 39
DESCRIPTORS_A_SITE = 2  # its namespace, and a socket of its traffic; its TAP is opened by another process
CHAIN_ROUTERS = 5
FRAME_BITS = 1500 * 8
LOAD = 0.8  # share of the cores that a run may use without being suspect


class Status(str, Enum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"  # scenarios run, but slower, less accurately, or with fewer sites
    MISSING = "missing"  # required by every scenario
    UNKNOWN = "unknown"  # may not be read by this user


@dataclass(frozen=True, slots=True)
class Item:
    """A check: its result and value, its effect, and a remedy. ``privilege``: a missing one."""

    topic: str
    name: str
    status: Status
    value: str
    why: str = ""
    do: str = ""
    privilege: bool = False


def of_machine(facts: Mapping[str, Any]) -> Iterator[Item]:
    """Cores, memory and other load, from ``doctor.collect_facts``."""
    topic = "machine"
    cores = facts["cores"]
    few = Status.OK if cores >= 2 else Status.WARNING
    yield Item(topic, "cores", few, str(cores), "the link engine uses one core under load", "two or more")
    yield Item(topic, "memory available", *_memory(facts["memory_bytes"], facts["routers"]))
    limit = facts["cgroup_cores"]
    status = Status.OK if limit is None or limit >= cores else Status.WARNING
    shown = "none" if limit is None else f"{limit:g} cores"
    why = "beyond it all processes are throttled, and a run is suspect or void"
    yield Item(topic, "limit on processor time", status, shown, why, "run outside the control group, or raise cpu.max")
    steal = facts["steal"]
    status = Status.OK if steal <= 0.01 else Status.WARNING
    why = "time that the host gives to other machines makes links late"
    yield Item(topic, "taken by the host now", status, f"{steal:.1%}", why, "a quieter host, or dedicated cores")
    busy = facts["busy"]
    status = Status.OK if busy < 0.5 else Status.WARNING
    yield Item(topic, "cores in use now", status, f"{busy:.0%}", "other programs compete for the cores", "stop them")
    clock = facts["clock_source"]
    status = _graded(clock, {"tsc", "kvm-clock", "arch_sys_counter"})
    why = "the clock is read several times per frame; other sources need a system call each"
    yield Item(topic, "clock source", status, clock or "not visible", why, "boot with clocksource=tsc")
    governor = facts["governor"]
    status = Status.WARNING if governor == "powersave" else Status.OK
    why = "a core that must raise its frequency first is late"
    yield Item(
        topic, "frequency governor", status, governor or "not visible", why, "cpupower frequency-set -g performance"
    )


def of_kernel(facts: Mapping[str, Any]) -> Iterator[Item]:
    """Statistics and features of the kernel."""
    topic = "kernel"
    yield Item(topic, "release", Status.OK, facts["kernel"])
    status = Status.OK if facts["psi"] else Status.WARNING
    shown = "available" if facts["psi"] else "not available"
    yield Item(topic, "pressure-stall information", status, shown, "used for a run's validity", "boot with psi=1")
    status = Status.OK if facts["schedstat"] else Status.WARNING
    shown = "available" if facts["schedstat"] else "not available"
    yield Item(topic, "waits for a core", status, shown, "shows which router stalled, and when", "CONFIG_SCHED_INFO")
    status = {True: Status.OK, False: Status.WARNING, None: Status.UNKNOWN}[facts["user_namespaces"]]
    shown = {True: "allowed", False: "forbidden", None: "not visible"}[facts["user_namespaces"]]
    why = "without them only root can run scenarios"
    yield Item(topic, "user namespaces", status, shown, why, facts["user_namespaces_setting"])


def of_privileges(facts: Mapping[str, Any]) -> Iterator[Item]:
    """Privileges of this user."""
    topic = "privileges"
    scheduling = facts["scheduling"]
    status = Status.OK if scheduling == "rr" else Status.WARNING
    shown = {"rr": "real time", "nice": "nice only", "none": "refused"}[scheduling]
    why = "without it other programs delay links and switches"
    yield Item(topic, "priority", status, shown, why, "run as root, or LimitRTPRIO=2")
    files = facts["open_files"]
    status = Status.OK if files >= 4_000 else Status.WARNING
    why = f"{DESCRIPTORS_A_SITE} for every site"
    yield Item(topic, "open files (hard limit)", status, f"{files:,}", why, "ulimit -Hn 65536")
    missing = " and ".join(f"CAP_{name}" for name in facts["missing_capabilities"])
    status = Status.WARNING if missing and facts["root"] else Status.OK
    shown = f"a user namespace's, for {missing} is missing" if missing else "this user's"
    why = "in a user namespace nothing has real-time priority"
    yield Item(topic, "capabilities", status, shown, why, f"start the container or service with {missing}")
    status = Status.OK if facts["copies_descriptors"] else Status.WARNING
    shown = "allowed" if facts["copies_descriptors"] else "refused (pidfd_getfd)"
    why = "switches' socket buffers hold 90 frames instead of 2,000, and drop more under load"
    yield Item(topic, "copying descriptors", status, shown, why, "in a container, --cap-add SYS_PTRACE")
    locked = facts["locked_bytes"]
    shown = "unlimited" if locked is None else f"{locked / 2**20:.0f} MiB"
    status = Status.OK if locked is None or locked >= 2**26 or facts["root"] else Status.WARNING
    yield Item(topic, "locked memory", status, shown, "the link engine must not wait for page faults", "ulimit -Hl")


def of_programs(facts: Mapping[str, Any]) -> Iterator[Item]:
    """Programs, devices and libraries; ``problems``: those of ``sandbox.require``, with which nothing runs."""
    topic = "software"
    for problem in facts["problems"]:
        name, why, denied = problem["name"], "required for sandboxes", bool(problem.get("privilege"))
        yield Item(topic, name, Status.MISSING, problem["reason"], why, problem["hint"], denied)
    if not facts["problems"]:
        yield Item(topic, "programs, devices, namespaces", Status.OK, "available")
    if facts["open_vswitch"]:
        yield Item(topic, "Open vSwitch", Status.OK, facts["open_vswitch"])
    yield _routers(facts["routers"], facts["routers_reason"])
    status = Status.OK if facts["cudd"] else Status.WARNING
    shown = "available" if facts["cudd"] else "not available"
    why = "without it `verify`, `mutate`, `rules packets` and scenarios that verify refuse; all else runs"
    yield Item(topic, "CUDD (dd.cudd)", status, shown, why, facts["cudd_build"])
    status = Status.OK if facts["jemalloc"] else Status.WARNING
    shown = "available" if facts["jemalloc"] else "not available"
    why = "with it switches use a fifth to a third less processor time"
    yield Item(topic, "jemalloc", status, shown, why, "install the package libjemalloc2")


def of_dataplane(parts: Iterable[Mapping[str, Any]]) -> Iterator[Item]:
    """Kernel features that ``--dataplane kernel`` uses, from ``helsewan.emulation.kernel.probe``; the link engine needs
    none of them."""
    for part in parts:
        topic, why, do = "for --dataplane kernel", str(part["purpose"]), f"a kernel with {part['option']}"
        if part["refusal"]:
            why = why if part["needed"] else f"{why}, if requested"
            yield Item(topic, part["name"], Status.WARNING, f"not available: {part['refusal']}", why, do)
        else:
            yield Item(topic, part["name"], Status.OK, "available")


def of_capacity(facts: Mapping[str, Any], measured: Mapping[str, Any]) -> Iterator[Item]:
    """The machine's capacity, from ``doctor_sandbox``, and the scenarios that it allows."""
    topic = "capacity"
    late_us = measured["timer_p99_us"]
    status = Status.OK if late_us <= 500 else Status.WARNING
    why = "every link is late by as much; a path may be late by 0.5 ms"
    yield Item(topic, "timers late (99 %)", status, f"{late_us:.0f} us", why, "a quieter machine, real-time priority")
    frames = 1e6 / measured["line_us"]
    yield Item(topic, "link engine", Status.OK, f"{frames:,.0f} full frames/s on one core")
    kind = f"router ({facts['routers']})"
    yield Item(topic, kind, Status.OK, f"{1e6 / measured['router_us']:,.0f} full frames/s on one core")
    rate_bps = chain_bps(facts["cores"], measured["line_us"], measured["router_us"], facts["routers"] == "shared")
    status = Status.OK if rate_bps >= 100e6 else Status.WARNING
    name = f"{CHAIN_ROUTERS} routers in a chain"
    yield Item(topic, name, status, f"about {rate_bps / 1e6:,.0f} Mbit/s", "estimated from both", "more cores")
    yield Item(topic, "namespaces", Status.OK, f"{measured['namespaces_per_s']:,.0f}/s")
    sites = max_sites(facts["memory_bytes"], facts["open_files"], facts["routers"])
    status = Status.OK if sites >= 260 else Status.WARNING
    why = "the default scenario has 260"
    yield Item(topic, "sites (memory, open files)", status, f"up to {sites:,}", why, "more memory, more open files")


def chain_bps(cores: int, line_us: float, router_us: float, is_shared: bool) -> float:
    """Rate of full frames (bit/s) through a chain of routers: the engine is one thread, and so are shared routers;
    private ones share the other cores."""
    links_us, routers_us = (CHAIN_ROUTERS + 1) * line_us, CHAIN_ROUTERS * router_us
    slowest_us = max(links_us, routers_us if is_shared else router_us)
    return FRAME_BITS * 1e6 / max(slowest_us, (links_us + routers_us) / (LOAD * cores))


def max_sites(memory_bytes: int, open_files: int, routers: str) -> int:
    """The number of sites of the national network for which memory and open files suffice, with that kind of routers,
    to two significant digits."""
    by_memory = (memory_bytes - RUN_BYTES - ROUTERS_BYTES[routers]) / SITE_BYTES
    sites = max(0, int(min(by_memory, open_files / DESCRIPTORS_A_SITE)))
    step: int = 10 ** max(0, len(str(sites)) - 2)
    return sites // step * step


def can_run(items: list[Item]) -> bool:
    """Whether a scenario can run."""
    return all(item.status is not Status.MISSING for item in items)


def lacks_only_privileges(items: list[Item]) -> bool:
    """Whether nothing but privileges prevents a scenario from running."""
    missing = [item for item in items if item.status is Status.MISSING]
    return bool(missing) and all(item.privilege for item in missing)


def _memory(available_bytes: int, routers: str) -> tuple[Status, str, str, str]:
    needed = RUN_BYTES + ROUTERS_BYTES.get(routers, 0)
    status = Status.OK if available_bytes >= needed else Status.WARNING
    return status, f"{available_bytes / 2**30:.1f} GiB", f"{ROUTERS} routers and their sites use it", "more memory"


def _routers(kind: str, reason: str) -> Item:
    """Which routers networks have here; ``reason``: why no shared ones, though nobody asked for private ones."""
    topic, name = "software", "routers"
    if not kind:
        return Item(topic, name, Status.MISSING, "none", reason, "another kind, or none, in the environment")
    shown = {
        "shared": "shared: bridges of one Open vSwitch with DPDK",
        "private": "private: an Open vSwitch each",
    }[kind]
    if not reason:
        return Item(topic, name, Status.OK, shown)
    why = f"{reason}; a private router takes many times the processor time of a shared one"
    return Item(topic, name, Status.WARNING, shown, why, "make setup, or docs/troubleshooting.md")


def _graded(value: str, good: set[str]) -> Status:
    if not value:
        return Status.UNKNOWN
    return Status.OK if value in good else Status.WARNING
