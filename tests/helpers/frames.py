"""Packets of the interpreter as frames, and frames as packets: by Scapy, which knows nothing of either."""

from __future__ import annotations

from ipaddress import IPv4Address

from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet as Layer
from scapy.packet import Raw

from helsewan.controller.openflow.pipeline import VLAN_PRESENT
from helsewan.verification.concrete.packet import Label, Packet

_ARP = {"arp_op": "op", "arp_spa": "psrc", "arp_tpa": "pdst", "arp_sha": "hwsrc", "arp_tha": "hwdst"}
_PORTS = {17: ("udp", UDP), 6: ("tcp", TCP)}
FIRST, LATER = 1, 3  # Open vSwitch's ip_frag


def frame(packet: Packet, mark: int) -> bytes:
    """The packet with a number for its payload."""
    fields = packet.fields
    built: Layer = Ether(src=_mac(fields["eth_src"]), dst=_mac(fields["eth_dst"]))
    if "vlan_vid" in fields:
        built /= Dot1Q(vlan=fields["vlan_vid"] & 0xFFF)
    for place, label in enumerate(packet.labels, start=1):
        built /= MPLS(label=label.label, cos=label.tc, s=int(place == len(packet.labels)), ttl=label.ttl)
    built /= _arp(fields) if "arp_op" in fields else _ip(fields)
    return bytes(built / Raw(b"\0" * 24 + mark.to_bytes(4, "big")))


def packet_and_mark(data: bytes) -> tuple[Packet, int]:
    """The packet that a frame holds, and the number it carries."""
    ether = Ether(data)
    fields: dict[str, int | str] = {"eth_src": ether.src, "eth_dst": ether.dst}
    layer = ether.payload
    if isinstance(layer, Dot1Q):
        fields["vlan_vid"] = layer.vlan | VLAN_PRESENT
        layer = layer.payload
    labels = []
    while isinstance(layer, MPLS):
        labels.append(Label(layer.label, layer.cos, layer.ttl))
        layer = layer.payload if not layer.s else IP(bytes(layer.payload))
    fields |= _read_arp(layer) if isinstance(layer, ARP) else _read_ip(layer)
    return Packet.of(*labels, **fields), int.from_bytes(data[-4:], "big")


def _arp(fields: dict[str, int]) -> Layer:
    values = {theirs: fields[ours] for ours, theirs in _ARP.items()}
    return ARP(**{name: _text(name, value) for name, value in values.items()})


def _text(name: str, value: int) -> int | str:
    return value if name == "op" else _mac(value) if name.startswith("hw") else str(IPv4Address(value))


def _read_arp(layer: Layer) -> dict[str, int | str]:
    return {"eth_type": 0x0806, **{ours: getattr(layer, theirs) for ours, theirs in _ARP.items()}}


def _ip(fields: dict[str, int]) -> Layer:
    kind = fields["ip_frag"]
    built = IP(
        src=str(IPv4Address(fields["ipv4_src"])),
        dst=str(IPv4Address(fields["ipv4_dst"])),
        ttl=fields["nw_ttl"],
        proto=fields["ip_proto"],
        tos=fields["ip_dscp"] << 2 | fields["ip_ecn"],
        flags="MF" if kind else 0,
        frag=100 if kind == LATER else 0,
    )
    if kind == LATER:
        return built
    if "icmpv4_type" in fields:
        return built / ICMP(type=fields["icmpv4_type"], code=fields["icmpv4_code"])
    if fields["ip_proto"] not in _PORTS:
        return built
    name, kind_of = _PORTS[fields["ip_proto"]]
    built /= kind_of(sport=fields[f"{name}_src"], dport=fields[f"{name}_dst"])
    if name == "tcp":
        built[TCP].flags = fields["tcp_flags"]
    return built


def _read_ip(layer: Layer) -> dict[str, int | str]:
    fragment = LATER if layer.frag else FIRST if layer.flags.MF else 0
    fields = {"eth_type": 0x0800, "ipv4_src": layer.src, "ipv4_dst": layer.dst, "nw_ttl": layer.ttl}
    fields |= {"ip_proto": layer.proto, "ip_dscp": layer.tos >> 2, "ip_ecn": layer.tos & 3, "ip_frag": fragment}
    if fragment == LATER:
        return fields
    if ICMP in layer:
        fields |= {"icmpv4_type": layer[ICMP].type, "icmpv4_code": layer[ICMP].code}
    elif layer.proto in _PORTS:
        name, kind_of = _PORTS[layer.proto]
        fields |= {f"{name}_src": layer[kind_of].sport, f"{name}_dst": layer[kind_of].dport}
        if name == "tcp":
            fields["tcp_flags"] = int(layer[TCP].flags)
    return fields


def _mac(value: int) -> str:
    return value.to_bytes(6, "big").hex(":")
