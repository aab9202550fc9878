"""What paths and their repairs leave undelivered under failures."""

from __future__ import annotations

from collections.abc import Iterator

from helsewan.controller.rules.paths import Failures, Paths
from helsewan.policies.plan import Egress
from helsewan.topology.model import Network
from helsewan.verification.failures import components


def fates(network: Network, egress: Egress, paths: Paths, failed: Failures) -> Iterator[tuple[str, str | None]]:
    """(source, router it is delivered at or None) for every live router, while ``failed`` is not known to ``paths``."""

    def dead(router: str, link: str) -> bool:
        return link in failed.links or network.link[link].other(router) in failed.routers

    for source in (router.id for router in network.routers if router.id not in failed.routers):
        router, detour, steps = source, None, 0
        tree = paths.entry_tree.get((source, egress.index), egress.index)
        while True:
            steps += 1
            assert steps <= 2 * len(network.routers), f"a loop from {source} to {egress}"
            key = router, tree
            if detour is not None:
                if paths.detours[detour].end == router:
                    yield source, router
                    break
                link = paths.detour_hops[detour][router]
                if dead(router, link):
                    yield source, None
                    break
            elif paths.target.get(key) == router:
                yield source, router
                break
            else:
                link = paths.primary.get(key, "")
                if not link or dead(router, link):
                    repair = paths.repair.get(key)
                    if repair is not None and repair.link is None:
                        yield source, router
                        break
                    if not link or repair is None or dead(router, repair.link or ""):
                        yield source, None
                        break
                    link, detour = repair.link or "", repair.detour
            router = network.link[link].other(router)


def unrepaired(network: Network, egresses: tuple[Egress, ...], paths: Paths, failed: Failures) -> list[tuple[str, int]]:
    """(source, egress) that are connected and yet not delivered; delivered elsewhere or a loop fails the test."""
    component = components(network, failed)
    missed = []
    for egress in egresses:
        reachable = {component[router] for router in egress.routers if router in component}
        for source, end in fates(network, egress, paths, failed):
            assert end is None or end in egress.routers
            if end is None and component[source] in reachable:
                missed.append((source, egress.index))
    return missed
