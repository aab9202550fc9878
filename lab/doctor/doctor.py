"""``helsewan doctor``: checks this machine's prerequisites and measures its capacity."""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.markup import escape

from helsewan.common.errors import InputError, MissingPrivilege
from helsewan.common.exit_codes import ExitCode
from helsewan.common.processes import CommandError, run
from helsewan.common.terminal.screen import Screen
from helsewan.emulation.routers.forwarding import VARIABLE, forwarding
from helsewan.emulation.routers.private_switch import ALLOCATOR
from helsewan.emulation.routers.switch_ports import can_widen
from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.procfs import PRESSURE, cpu_limit_cores, read_load
from helsewan.emulation.sandbox.realtime import LINKS, set_realtime
from helsewan.emulation.sandbox.surroundings import surroundings
from helsewan.lab.doctor.doctor_items import (
    Item,
    Status,
    can_run,
    lacks_only_privileges,
    of_capacity,
    of_dataplane,
    of_kernel,
    of_machine,
    of_privileges,
    of_programs,
)
from helsewan.lab.health.health import pressure_between
from helsewan.lab.processes.sandbox_process import WORKING_DIR
from helsewan.verification.cudd import how_to_build, load_cudd

LOAD_S = 0.5  # over which the machine's current load is measured
MEASURE_S = 60
CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
USER_NAMESPACES = {  # sysctls, and the values that forbid user namespaces to ordinary users
    "kernel/unprivileged_userns_clone": "0",
    "kernel/apparmor_restrict_unprivileged_userns": "1",
    "user/max_user_namespaces": "0",
}
_MARKS = {Status.OK: "green", Status.WARNING: "yellow", Status.MISSING: "bold red", Status.UNKNOWN: "dim"}


def examine() -> list[Item]:
    """Check everything that this user may read, and measure the capacity if a sandbox can be created."""
    facts = collect_facts()
    items = [*of_programs(facts), *of_privileges(facts), *of_machine(facts), *of_kernel(facts)]
    if not can_run(items):
        return items
    try:
        measured = _measure(facts["routers"])
        return [*items, *of_dataplane(measured["kernel_parts"]), *of_capacity(facts, measured)]
    except (subprocess.SubprocessError, ValueError) as error:
        detail = getattr(error, "stderr", "") or str(error)
        last = detail.strip().splitlines()[-1:] or ["no message"]
        why = "a sandbox was created, but the measurement in it failed"
        return [*items, Item("capacity", "measurement", Status.MISSING, last[0], why, "see the message")]


def collect_facts() -> dict[str, Any]:
    """Facts about the machine, the kernel and this user's privileges."""
    before = read_load()
    time.sleep(LOAD_S)
    pressure = pressure_between(before, read_load())
    closed = [name for name, value in USER_NAMESPACES.items() if _text(Path("/proc/sys") / name) == value]
    locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    return {
        "root": os.geteuid() == 0,
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": _memory_bytes(),
        "cgroup_cores": cpu_limit_cores(),
        "steal": max(0.0, pressure.steal),
        "busy": max(0.0, pressure.busy),
        "clock_source": _text(CLOCK_SOURCE),
        "governor": _text(GOVERNOR),
        "kernel": platform.release(),
        "psi": PRESSURE.exists(),
        "schedstat": Path("/proc/self/schedstat").exists(),
        "user_namespaces": not closed if Path("/proc/self/ns/user").exists() else False,
        "user_namespaces_setting": ", ".join(f"sysctl {name.replace('/', '.')}" for name in closed),
        "scheduling": _scheduling(),
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        "locked_bytes": None if locked == resource.RLIM_INFINITY else locked,
        "problems": _problems(),
        "open_vswitch": _open_vswitch(),
        **_routers(),
        "missing_capabilities": surroundings().missing,
        "copies_descriptors": can_widen(),
        "cudd": _has_cudd(),
        "cudd_build": how_to_build(),
        "jemalloc": _can_preload(ALLOCATOR),
    }


def show(items: list[Item], as_json: bool) -> int:
    """Print the items; returns the exit code: 0 if scenarios can run here, else what running one returns."""
    runs = can_run(items)
    refused = ExitCode.MISSING_PRIVILEGE if lacks_only_privileges(items) else ExitCode.BAD_INPUT
    if as_json:
        rows = [{**asdict(item), "status": item.status.value} for item in items]
        print(json.dumps({"can_run": runs, "items": rows}, ensure_ascii=False, indent=1))
        return ExitCode.PASS if runs else refused
    screen = Screen()
    topic = ""
    for item in items:
        if item.topic != topic:
            topic = item.topic
            screen.print(f"[bold]{topic}[/]")
        _show_item(screen, item)
    verdict = "scenarios run here" if runs else "scenarios do not run here"
    screen.print(f"[bold {'green' if runs else 'red'}]{verdict}[/]")
    return ExitCode.PASS if runs else refused


def _show_item(screen: Screen, item: Item) -> None:
    line = f"  [{_MARKS[item.status]}]{item.status.value:8}[/] {escape(item.name)}: {escape(item.value)}"
    if item.status is not Status.OK and item.why:
        line += f" [dim]({escape(item.why)}{'; ' + escape(item.do) if item.do else ''})[/]"
    screen.print(line, highlight=False, soft_wrap=True)


def _measure(routers: str) -> dict[str, Any]:
    """Run ``doctor_sandbox`` in a new sandbox, with that kind of routers; returns its figures."""
    argv = sandbox.command([sys.executable, "-m", "helsewan.lab.doctor.doctor_sandbox", routers])
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=MEASURE_S, cwd=WORKING_DIR)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _problems() -> list[dict[str, Any]]:
    try:
        sandbox.require()
    except InputError as error:
        return [
            {
                "name": str(problem.value or problem.where),
                "reason": problem.reason,
                "hint": problem.hint,
                "privilege": isinstance(error, MissingPrivilege),
            }
            for problem in error.problems
        ]
    return []


def _routers() -> dict[str, str]:
    """The kind of routers that networks have here; why it is none or private, where nobody asked for that."""
    try:
        found = forwarding()
    except InputError as error:  # the environment names a kind that cannot be had
        (problem,) = error.problems
        return {"routers": "", "routers_reason": f"{VARIABLE}={problem.value}: {problem.reason}"}
    return {"routers": found.routers.value, "routers_reason": found.reason}


def _scheduling() -> str:
    """The priority that is granted to a thread of this process; tried with a temporary one."""
    granted: list[str] = []
    thread = threading.Thread(target=lambda: granted.append(set_realtime(LINKS)))
    thread.start()
    thread.join()
    return granted[0]


def _open_vswitch() -> str:
    program = shutil.which("ovs-vswitchd", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
    try:
        return run([program, "--version"]).partition("\n")[0].rpartition(" ")[2] if program else ""
    except CommandError:
        return ""


def _has_cudd() -> bool:
    try:
        load_cudd()
    except InputError:
        return False
    return True


def _can_preload(library: str) -> bool:
    """Whether the dynamic linker finds a library to preload; if not, it prints a warning on standard error."""
    env = {**os.environ, "LD_PRELOAD": library}
    return not subprocess.run(["true"], env=env, capture_output=True, check=False).stderr


def _memory_bytes() -> int:
    """Memory available without swapping (proc(5), MemAvailable)."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def _text(path: Path) -> str:
    """The content of a kernel file; empty where it does not exist or may not be read."""
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
