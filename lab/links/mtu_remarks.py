"""What a changed MTU of a link does not do, told when it is changed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from helsewan.topology.model import SITE_MTU, Network


def mtu_remarks(network: Network, mtus: Mapping[str, int | None], answered: bool) -> Iterator[str]:
    """Remarks on links that have just been given an MTU, by name (None: no limit), in bytes of the IP packet.

    ``answered``: the links report what is too long for them to the routers, which tell the sender; the kernel's
    queueing disciplines do not. An access link's MTU in the network's file is in its router's rules, whatever the
    link's is."""
    given = {name: mtu for name, mtu in mtus.items() if mtu is not None}
    if given and not answered:
        yield (
            f"{_named(given)}: with --dataplane kernel packets that are too long are dropped, and no router tells "
            "their sender (no fragmentation-needed, no packet-too-big)"
        )
    for site in network.sites:
        for number, access in enumerate(site.accesses):
            name = f"{site.id}/wan{number}"
            if name in mtus and access.mtu_bytes < min(mtus[name] or SITE_MTU, SITE_MTU):
                yield (
                    f"{name}: its router still answers packets longer than {access.mtu_bytes} B, the mtu in the "
                    "network's file, as too long (hint: leave mtu out of the file, and set it at run time)"
                )


def _named(names: Mapping[str, object]) -> str:
    first, *rest = names
    return f"{first} and {len(rest)} more" if rest else first
