"""Reading the entries of all switches without the controller: failures that switches report, and invalid replies."""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path

import pytest
from controller_plan import small_plan

from helsewan.controller.openflow.decoder import ports
from helsewan.controller.openflow.entries import Port, RuleSet
from helsewan.controller.rules.paths import Failures
from helsewan.lab.server.rules_process import ReadingFailed, read_switch
from helsewan.verification.dump.observed import observed_failures

LINK_DOWN, LIVE = 1, 4


def port(number: int, state: int, config: int = 0) -> bytes:
    """A port description (OpenFlow 1.3.5, 7.2.1)."""
    return struct.pack("!I4x6s2x16sII24x", number, b"\2" * 6, b"fibre", config, state)


def test_ports_without_carrier_or_bfd_session_are_dead() -> None:
    described = port(1, LIVE) + port(2, 0) + port(3, LINK_DOWN | LIVE) + port(0xFFFFFFFE, LIVE)
    assert {each.number for each in ports(described) if each.is_dead} == {2, 3}
    with pytest.raises(struct.error):
        ports(described[:-1])


def test_the_configuration_of_a_port_is_read_and_bits_without_a_name_are_kept() -> None:
    (configured,) = ports(port(1, LIVE, 1 | 4 | 32 | 64 | 0x800))
    assert configured == Port(1, ("port_down", "no_receive", "no_forward", "no_packet_in", "0x800"), ("live",))


def test_one_end_suffices_and_links_of_a_failed_router_are_not_listed() -> None:
    network = small_plan().network
    alive: dict[str, RuleSet | None] = {router.id: RuleSet() for router in network.routers}
    assert observed_failures(network, alive) == Failures()
    link = network.links[0]
    one = {**alive, link.b: RuleSet(ports=(Port(network.ports[link.b][link.id], state=()),))}
    assert observed_failures(network, one) == Failures(frozenset({link.id}))
    assert observed_failures(network, {**one, link.b: None}) == Failures(routers=frozenset({link.b}))
    router, line, number = next(
        (router, line, number) for router, lines in network.access_link_ports.items() for line, number in lines.items()
    )
    dark = {**alive, router: RuleSet(ports=(Port(number, state=()),))}
    assert observed_failures(network, dark) == Failures(access_links=frozenset({line}))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "connection was closed"),
        (struct.pack("!BBHI", 4, 1, 12, 1) + b"\0\1\0\2", "replied with an error: 00010002"),
        (struct.pack("!BBHIHH4x", 4, 19, 20, 1, 13, 0) + b"port", "cannot be read"),
        (struct.pack("!BBHI", 4, 19, 4, 1), "cannot be read"),
    ],
)
def test_a_switch_with_an_invalid_reply_is_named(answer: bytes, said: str, tmp_path: Path) -> None:
    home = tmp_path / "oslo1"
    home.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home / "br0.mgmt"))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        with pytest.raises(ReadingFailed, match=said) as caught:
            read_switch(home / "br0.mgmt")
        server.join()
    assert "oslo1" in str(caught.value)


def test_a_router_without_a_switch_has_no_state(tmp_path: Path) -> None:
    assert read_switch(tmp_path / "br0.mgmt") is None
