"""``helsewan link`` and ``router``: show and change the links of a running network, and cut its routers' power."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from helsewan.cli.options import Direction, Json, Link, Name
from helsewan.common.errors import InputError, Problem

link_app = typer.Typer(no_args_is_help=True, help="Show and change the links of a running network.")

router_app = typer.Typer(no_args_is_help=True, help="Cut and restore the power of routers.")
Router = Annotated[str, typer.Argument(help="A router, such as hamar or oslo-1.")]


def _text(name: str, what: str) -> Any:
    """An option that is parsed later: its text goes to `link_options`."""
    return typer.Option(f"--{name}", help=what, metavar="VALUE")


@link_app.command("list")
def link_list(
    pattern: Annotated[str, typer.Argument(help="A pattern, as for link show.")] = "*", name: Name = None
) -> None:
    """List the names of links."""
    from helsewan.lab.client.client import Client

    with Client(name) as client:
        for each in client.ask("links", line=pattern):
            print(each["line"])


@link_app.command("show")
def link_show(link: Link, name: Name = None, as_json: Json = False) -> None:
    """Show the settings and counters of links."""
    from helsewan.cli.tables.links import print_link
    from helsewan.lab.client.client import Client

    with Client(name) as client:
        links = client.ask("links", line=link)
    if as_json:
        print(json.dumps(links, indent=2))
    else:
        for each in links:
            print_link(each)


@link_app.command("set")
def link_set(
    link: Link,
    name: Name = None,
    direction: Direction = "both",
    reset: Annotated[bool, typer.Option("--reset", help="First restore the original settings.")] = False,
    rate: Annotated[str | None, _text("rate", "10Mbit/s")] = None,
    delay: Annotated[str | None, _text("delay", "20ms, one way")] = None,
    jitter: Annotated[str | None, _text("jitter", "2ms, or none")] = None,
    distribution: Annotated[str | None, _text("jitter-distribution", "uniform, normal or pareto")] = None,
    order: Annotated[str | None, _text("order", "kept, or free: frames may be reordered")] = None,
    loss: Annotated[str | None, _text("loss", "1%, independent for each frame, or none")] = None,
    bursts: Annotated[str | None, _text("loss-bursts", "Gilbert-Elliott: p,r[,good[,bad]] such as 1%,30%")] = None,
    correlated: Annotated[str | None, _text("loss-correlated", "mean,correlation such as 1%,25%")] = None,
    duplicate: Annotated[str | None, _text("duplicate", "1%")] = None,
    corrupt: Annotated[str | None, _text("corrupt", "1%: one bit flipped")] = None,
    mtu: Annotated[str | None, _text("mtu", "1400B, or none")] = None,
    buffer: Annotated[str | None, _text("buffer", "200kB for all queues together, or none")] = None,
    overhead: Annotated[
        str | None, _text("overhead", "the layer that the rate counts: layer1, layer2 or layer3")
    ] = None,
    weight: Annotated[list[str] | None, typer.Option("--weight", help="CLASS=30; may be repeated.")] = None,
    limit: Annotated[list[str] | None, typer.Option("--limit", help="CLASS=64kB, 20ms or none.")] = None,
    aqm: Annotated[list[str] | None, typer.Option("--aqm", help="CLASS=codel, red:30kB,90kB or none.")] = None,
    down: Annotated[bool | None, typer.Option("--down/--up", help="Take the link's carrier down, or up.")] = None,
    blackhole: Annotated[
        bool | None,
        typer.Option("--blackhole/--no-blackhole", "--silent/--heard", help="Drop all frames, carrier up."),
    ] = None,
    paused: Annotated[
        bool | None, typer.Option("--pause/--resume", "--freeze/--thaw", help="Pause the link: frames wait.")
    ] = None,
) -> None:
    """Change links while they carry traffic. All changes take effect at one instant, and no queued frame is lost."""
    from helsewan.lab.client.client import Client
    from helsewan.lab.links.link_options import directions_of, parsed_change

    directions = directions_of(direction)
    options = {
        "rate": rate,
        "delay": delay,
        "jitter": jitter,
        "jitter-distribution": distribution,
        "order": order,
        "loss": loss,
        "loss-bursts": bursts,
        "loss-correlated": correlated,
        "duplicate": duplicate,
        "corrupt": corrupt,
        "mtu": mtu,
        "buffer": buffer,
        "overhead": overhead,
    }
    change = parsed_change(options, {"weight": weight or [], "limit": limit or [], "aqm": aqm or []})
    state = {"down": down, "silent": blackhole, "frozen": paused}
    if not change and not reset and set(state.values()) == {None}:
        raise InputError(Problem("link set", link, "has no change", "add for example --delay 20ms"))
    with Client(name) as client:
        done = client.ask("change-links", line=link, directions=directions, reset=reset, change=change, state=state)
    if done["links"] != [link]:
        print(f"changed: {', '.join(done['links'])}")
    for remark in done["remarks"]:
        print(f"remark: {remark}", file=sys.stderr)


@link_app.command("trace")
def link_trace(
    link: Link,
    file: Annotated[str, typer.Argument(help="CSV with columns time_ms and rate_bps, delay_us, loss; none to stop.")],
    name: Name = None,
    direction: Direction = "both",
    repeat: Annotated[str | None, typer.Option("--repeat", help="Repeat the trace every 60s.")] = None,
) -> None:
    """Have links follow a trace of rate, delay and loss from now on."""
    from helsewan.common.document import read_bytes
    from helsewan.emulation.links.trace import MAX_BYTES
    from helsewan.lab.client.client import Client
    from helsewan.lab.links.link_options import NONE, directions_of, duration_us

    copy = os.memfd_create("trace")
    raw = b"" if file == NONE else read_bytes(Path(file), MAX_BYTES)
    if len(raw) > MAX_BYTES:
        raise InputError(Problem(file, None, f"is larger than {MAX_BYTES} bytes", "split the file"))
    with open(copy, "wb", buffering=0) as trace, Client(name) as client:
        trace.write(raw)
        arguments = {"line": link, "directions": directions_of(direction), "file": file, "off": file == NONE}
        client.ask("trace", (copy,), **arguments, repeat_us=duration_us("--repeat", repeat))


@router_app.command("power-off")
def router_power_off(router: Router, name: Name = None) -> None:
    """Cut a router's power. Its links and access links go down, and it loses all rules."""
    _switch_power(router, False, name)


@router_app.command("power-on")
def router_power_on(router: Router, name: Name = None) -> None:
    """Restore a router's power, also of one that died. Returns once it is programmed and its links carry again."""
    _switch_power(router, True, name)


def _switch_power(router: str, on: bool, name: str | None) -> None:
    from helsewan.lab.client.client import Client

    with Client(name) as client:
        client.ask("power", router=router, on=on)
