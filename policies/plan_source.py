"""Plans from names: the network of a file or the national one, a policy of the library or a path, compiled."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from helsewan.policies.compile import compile_policy, load_policy, policy_path
from helsewan.policies.language.timestamps import utc_now
from helsewan.policies.plan import Plan
from helsewan.topology.model import Network
from helsewan.topology.network_source import load_network


def load_plan(policy: str | Path, network: Network, at: datetime | None = None) -> Plan:
    """The plan of a policy on ``network``. ``policy`` is a name of the library or the text of a path, or a Path that
    is read as it is; ``at`` is the time that its exceptions are judged at, now without.

    Raises InputError for a policy that cannot be read or does not fit the network."""
    file = policy if isinstance(policy, Path) else policy_path(policy)
    return compile_policy(load_policy(file), network, now=utc_now() if at is None else at)


def load_network_plan(
    policy: str | Path,
    source: Path | None,
    sites: int | None,
    seed: int,
    swedish_route: bool = False,
    at: datetime | None = None,
) -> Plan:
    """The plan of a policy, as of now or of ``at``, on the network that `load_network` makes of the other arguments;
    the plan holds that network. Raises InputError."""
    return load_plan(policy, load_network(source, sites, seed, swedish_route).network, at)
