"""The management network: where its centre stands, how far the routers are, and which addresses it has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from helsewan.common.errors import InputError
from helsewan.topology.construction import addressing
from helsewan.topology.construction.backbone import MAX_ROUTERS
from helsewan.topology.exporters import formats
from helsewan.topology.importers import description, network_from
from helsewan.topology.management import CONTROLLER4, PREFIX4, Management
from helsewan.topology.model import Network
from helsewan.topology.national.generator import national_network


@pytest.fixture(scope="module")
def network() -> Network:
    return national_network(sites=None)


def test_centre_is_in_trondheim(network: Network) -> None:
    management = Management(network)
    assert management.centre == "trondheim"
    assert {management.links[router].delay_us for router in network.pop["trondheim"].routers} == {0}


def test_line_is_as_long_as_the_quickest_way(network: Network) -> None:
    links = Management(network).links
    for link in network.links:
        assert abs(links[link.a].delay_us - links[link.b].delay_us) <= link.delay_us
    far = links["kirkenes"]
    assert far.delay_us == max(line.delay_us for line in links.values())
    # Some 1,700 km of road from Trondheim; fibre is as long or longer.
    assert 1_500 * 4.9 < far.delay_us < 3_000 * 4.9


def test_addresses_are_distinct_and_meet_no_sites(network: Network) -> None:
    links = Management(network).links
    assert not PREFIX4.overlaps(addressing.SUPERNET4)
    addresses = {line.address4 for line in links.values()}
    assert len(addresses) == len(network.routers) and CONTROLLER4 not in addresses
    assert addresses <= set(PREFIX4.hosts()) and PREFIX4.num_addresses > MAX_ROUTERS + 2


def test_without_a_place_the_centre_stands_at_the_first_pop(network: Network) -> None:
    assert Management(replace(network, operations="")).centre == network.pops[0].id


@pytest.mark.parametrize(
    ("suffix", "write"), [("yaml", description.write), ("graphml", formats.to_graphml), ("json", formats.to_json)]
)
def test_place_is_written_and_read(network: Network, tmp_path: Path, suffix: str, write: object) -> None:
    file = tmp_path / f"network.{suffix}"
    file.write_text(write(network))  # type: ignore[operator]
    assert network_from(file).operations == "trondheim"


def test_place_that_is_no_pop_is_refused(network: Network, tmp_path: Path) -> None:
    text = yaml.safe_load(description.write(network)) | {"operations": "trondhjem"}
    file = tmp_path / "network.yaml"
    file.write_text(yaml.safe_dump(text))
    with pytest.raises(InputError, match=r"operations: 'trondhjem' is no PoP of this network.*trondheim"):
        network_from(file)
