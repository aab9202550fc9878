"""Records as a run leaves them: in order of arrival, with losses, an outage, reordering and duplicates."""

from __future__ import annotations

from ipaddress import IPv4Address

import numpy as np

from helsewan.lab.flows.flowspec import Endpoint, FlowKind, FlowSpec
from helsewan.lab.flows.records import RECORD, Array
from helsewan.scenarios.results.measure import Window

SITES = 500
EPOCH_NS = 1_700_000_000_000_000_000
KINDS = (("voice", FlowKind.VOICE, "g711"), ("video", FlowKind.VIDEO, ""), ("data", FlowKind.MESSAGES, ""))


def flows_of(seconds: int, rate: int, count: int) -> list[FlowSpec]:
    """``count`` flows between sites, ``rate`` datagrams a second in all."""
    interval_ns = count * 10**9 // rate
    found = []
    for number in range(count):
        name, kind, codec = KINDS[number * len(KINDS) // count]
        a, b = number % SITES, (number * 7 + 1) % SITES
        ends = [Endpoint(f"site-{end}", IPv4Address(10 << 24 | end), 1024 + number) for end in (a, b)]
        found.append(
            FlowSpec(
                id=number,
                name=f"{name}/{number}",
                kind=kind,
                class_name=name,
                service=name,
                client=ends[0].site,
                server=ends[1].site,
                source=ends[0],
                destination=ends[1],
                dscp=46,
                sent_dscp=46,
                interval_ns=interval_ns,
                burst=1,
                payload_bytes=172,
                start_us=number * interval_ns // count // 1000,
                stop_us=seconds * 1_000_000,
                codec=codec,
                groups=(name,),
            )
        )
    return found


def records_of(flows: list[FlowSpec], seconds: int, receivers: Array, seed: int = 1) -> Array:
    """Records of ``flows``; flow i is received by ``receivers[i]``."""
    rng = np.random.default_rng(seed)
    due = np.array([flow.due_before(flow.stop_us) for flow in flows])
    flow = np.repeat(np.arange(len(flows), dtype=np.uint32), due)
    seq = (np.arange(len(flow)) - np.repeat(np.cumsum(due) - due, due)).astype(np.uint32)
    start_us, interval_ns = (np.array([getattr(one, name) for one in flows]) for name in ("start_us", "interval_ns"))
    tx_ns = EPOCH_NS + start_us[flow] * 1000 + seq * interval_ns[flow]
    delay_ns = (rng.integers(2_000_000, 20_000_000, len(flows))[flow] + rng.exponential(300_000, len(flow))).astype(
        "i8"
    )
    out = (flow % 10 == 0) & (np.abs(tx_ns - EPOCH_NS - seconds * 5 * 10**8) < 10**9)
    kept = np.flatnonzero(~out & (rng.random(len(flow)) > 0.002))
    kept = np.sort(np.concatenate([kept, kept[:: len(kept) // 1000]]))  # some twice
    kept = kept[np.argsort(tx_ns[kept] + delay_ns[kept], kind="stable")]
    records = np.zeros(len(kept), RECORD)
    records["flow"], records["seq"], records["tx_ns"] = flow[kept], seq[kept], tx_ns[kept]
    records["rx_ns"] = tx_ns[kept] + delay_ns[kept]
    records["receiver"], records["tos"], records["timed"], records["bytes"] = receivers[flow[kept]], 46 << 2, 1, 172
    return records


def windows_of(seconds: int) -> list[Window]:
    """The whole run, and four phases as scenarios have them."""
    edges = {"run": (0, 1), "before": (0, 0.3), "during": (0.3, 0.6), "dark": (0.31, 0.6), "after": (0.6, 1)}
    whole_us = seconds * 1_000_000
    return [Window(name, int(begin * whole_us), int(end * whole_us)) for name, (begin, end) in edges.items()]
