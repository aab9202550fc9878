"""What a user is told of a replay before it runs, and which packets of it cannot be sent on this network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address

from helsewan.lab.captures.capture_file import refusal
from helsewan.lab.captures.ip_packet import TCP, UDP
from helsewan.lab.captures.survey import Survey
from helsewan.lab.flows.replay_plan import FlowKey, Host, ReplayFlow, ReplayMode, Told
from helsewan.topology.model import Network, Site

EXAMPLES = 5  # of addresses that are not mapped


def mtu_bytes(site: Site) -> int:
    """The longest IP packet that every access link of a site carries."""
    return min(access.mtu_bytes for access in site.accesses)


def check_packets(
    found: Survey, flow_of: Mapping[FlowKey, int], hosts: Mapping[bytes, Host], network: Network, mode: ReplayMode
) -> None:
    """Raises CaptureRefused for a packet of the flows that is longer than its sites' lines carry and cannot be cut into
    segments, and for one whose bytes were not captured where those are replayed."""
    for key in flow_of:
        sighting = found.kinds[key]
        most = min(mtu_bytes(network.site[hosts[address].site]) for address in key[:2])
        longest = sighting.longest
        if longest is not None and longest.count > most:
            reason = f"is {longest.count:,} bytes long, of which lines here carry {most:,}, and is no TCP"
            hint = "capture without offloads (ethtool -K DEVICE gro off), or map it to nothing"
            raise refusal(longest.file, longest.number, reason, hint)
        if mode is ReplayMode.PAYLOAD and sighting.filled is not None:
            first = sighting.filled
            reason = f"has {first.count:,} bytes fewer in the capture than on the wire"
            raise refusal(
                first.file, first.number, reason, "capture whole packets (tcpdump -s 0), or replay mode: wire"
            )


def keep_conversations(found: Survey) -> None:
    """Leave out packets that sockets cannot send: of other protocols than TCP and UDP, and fragments."""
    for key in list(found.kinds):
        if key[2] not in (TCP, UDP) or key[7]:
            what = "a fragment" if key[7] else "neither of TCP nor of UDP"
            found.passed.left_out[f"{what}, and mode payload replays conversations"] += found.kinds.pop(key).packets


def told(
    mode: ReplayMode,
    found: Survey,
    flow_of: Mapping[FlowKey, int],
    flows: Sequence[ReplayFlow],
    ends_us: int,
    duration_us: int,
) -> Told:
    """What to tell of the packets in ``found``, those of ``flow_of`` being replayed."""
    replayed = [found.kinds[key] for key in flow_of]
    denied = [flow for flow in flows if flow.is_denied]
    return Told(
        packets=found.passed.packets,
        replayed=sum(each.packets for each in replayed),
        unmapped=found.unwanted_packets,
        addresses=len(found.unwanted),
        examples=tuple(str(ip_address(address)) for address in sorted(found.unwanted)[:EXAMPLES]),
        left_out=dict(found.passed.left_out),
        within_site=sum(each.packets for key, each in found.kinds.items() if key not in flow_of),
        denied=sum(flow.packets for flow in denied),
        denied_flows=tuple(flow.name for flow in denied),
        filled=sum(each.filled_packets for each in replayed),
        segmented=0 if mode is ReplayMode.PAYLOAD else sum(each.offloaded for each in replayed),
        late=found.passed.late,
        ends_us=ends_us,
        duration_us=duration_us,
    )
