"""What applications said, from the segments of a capture: once, in order, without gaps."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address
from pathlib import Path
from random import Random

import pytest
from capture_files import MS, Recorded, ethernet, ip4, pcap, tcp, udp, write
from hypothesis import given
from hypothesis import strategies as st

from helsewan.common.errors import InputError
from helsewan.lab.captures.conversations import Act, Event, replay_events
from helsewan.lab.captures.survey import survey
from helsewan.lab.flows.replay_plan import Extent, Host, Pace, ReplayMode, ReplayPlan, Told

CLIENT, SERVER, PORT = "10.1.0.1", "10.2.0.1", 443
PORTS = {6: frozenset({PORT}), 17: frozenset({5060})}
SYN, ACK, FIN, RST, PUSH = 0x02, 0x10, 0x01, 0x04, 0x08
ISN = 0xFFFFFFF0  # the sequence numbers go round


def segment(
    at_ms: int, by_client: bool, offset: int, data: bytes = b"", flags: int = ACK, port: int = 40_000
) -> Recorded:
    """A segment whose first byte is byte ``offset`` of its stream."""
    source, destination = (CLIENT, SERVER) if by_client else (SERVER, CLIENT)
    ports = (port, PORT) if by_client else (PORT, port)
    sequence = (ISN + 1 + offset - bool(flags & SYN)) % 2**32
    return Recorded(
        at_ms * MS, ethernet(ip4(source, destination, 6, tcp(*ports, data, sequence=sequence, flags=flags)))
    )


def plan_of(path: Path, pace: Pace = Pace()) -> ReplayPlan:  # noqa: B008 (frozen)
    """A plan that maps everything in a capture, without a policy."""
    found = survey([path], PORTS, lambda address: True, 1500)
    hosts = {packed: Host(f"site-{packed.hex()}", ip_address(packed)) for key in found.kinds for packed in key[:2]}
    kinds = found.kinds.values()
    extent = Extent(
        sum(each.packets for each in kinds),
        0,
        min(each.first_ns for each in kinds),
        max(each.last_ns for each in kinds),
    )
    told = Told(0, 0, 0, 0, (), {}, 0, 0, (), 0, 0, 0, 0, 0)
    flow_of = {key: number for number, key in enumerate(found.kinds)}
    mtu = {host.site: 1500 for host in hosts.values()}
    return ReplayPlan("r", (path,), ReplayMode.PAYLOAD, pace, hosts, flow_of, (), PORTS, mtu, extent, told)


def events(tmp_path: Path, packets: list[Recorded], pace: Pace = Pace()) -> list[Event]:  # noqa: B008 (frozen)
    return list(replay_events(plan_of(write(tmp_path / "capture", pcap(packets)), pace)))


def told(made: list[Event]) -> list[tuple[bool, Act, bytes]]:
    return [(each.by_client, each.act, each.data) for each in made]


WHOLE = [
    segment(0, True, 0, flags=SYN),
    segment(1, False, 0, flags=SYN | ACK),
    segment(2, True, 0),
    segment(3, True, 0, b"GET /", PUSH | ACK),
    segment(4, False, 0, b"200 ", ACK),
    segment(5, False, 4, b"OK", PUSH | ACK),
    segment(6, True, 5, flags=FIN | ACK),
    segment(7, False, 6, flags=FIN | ACK),
    segment(8, True, 6),
]
SAID = [
    (True, Act.OPEN, b""),
    (True, Act.SAY, b"GET /"),
    (False, Act.SAY, b"200 "),
    (False, Act.SAY, b"OK"),
    (True, Act.CLOSE, b""),
    (False, Act.CLOSE, b""),
]


def test_a_connection_is_what_its_ends_said(tmp_path: Path) -> None:
    made = events(tmp_path, WHOLE)
    assert told(made) == SAID
    assert [each.due_ns // MS for each in made] == [0, 3, 4, 5, 6, 7]
    assert {each.ends for each in made} == {(IPv4Address(CLIENT).packed, 40_000, IPv4Address(SERVER).packed, PORT)}


def test_what_was_sent_again_is_said_once(tmp_path: Path) -> None:
    again = [WHOLE[0], *WHOLE[:4], WHOLE[3], *WHOLE[4:], WHOLE[7], WHOLE[6]]
    again = [Recorded(place * MS, each.data) for place, each in enumerate(again)]
    assert told(events(tmp_path, again)) == SAID


def test_segments_out_of_order_are_said_in_order(tmp_path: Path) -> None:
    mixed = [*WHOLE[:4], WHOLE[5], WHOLE[7], WHOLE[4], WHOLE[6]]
    mixed = [Recorded(place * MS, each.data) for place, each in enumerate(mixed)]
    made = told(events(tmp_path, mixed))
    assert made == [*SAID[:2], (False, Act.SAY, b"200 OK"), (False, Act.CLOSE, b""), (True, Act.CLOSE, b"")]


def test_a_gap_in_a_stream_is_refused_by_packet_number(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        events(tmp_path, [*WHOLE[:4], *WHOLE[5:]])
    assert "packet 5: follows 4 bytes of its TCP stream that the capture does not have" in str(refused.value)


def test_a_connection_that_had_begun_before_is_joined(tmp_path: Path) -> None:
    made = events(tmp_path, [segment(0, False, 900, b"late"), segment(1, True, 77, b"thanks")])
    assert told(made) == [(True, Act.OPEN, b""), (False, Act.SAY, b"late"), (True, Act.SAY, b"thanks")]


def test_a_reset_ends_a_connection_and_its_ports_may_be_used_again(tmp_path: Path) -> None:
    packets = [*WHOLE[:4], segment(5, False, 0, flags=RST), segment(6, True, 5, b"too late"), *WHOLE]
    packets = [Recorded(place * MS, each.data) for place, each in enumerate(packets)]
    assert told(events(tmp_path, packets)) == [*SAID[:2], (False, Act.RESET, b""), *SAID]


def test_datagrams_are_messages(tmp_path: Path) -> None:
    frame = ethernet(ip4(CLIENT, SERVER, 17, udp(40_000, 5060, b"INVITE")), pad_to=60)
    (made,) = events(tmp_path, [Recorded(0, frame)])
    assert (made.act, made.data) == (Act.SAY, b"INVITE")


def test_loops_are_rebased(tmp_path: Path) -> None:
    """Every loop begins a mean interval after the last packet of the one before."""
    made = events(tmp_path, WHOLE, Pace(loops=3, speed=2, start_us=1000))
    opened = [each for each in made if each.act is Act.OPEN]
    assert [each.due_ns for each in opened] == [1_000_000 + loop * 9 * MS // 2 for loop in range(3)]
    assert [each.loop for each in opened] == [0, 1, 2]


@given(st.binary(min_size=1, max_size=3000), st.integers(0, 2**32), st.lists(st.integers(1, 700), max_size=12))
def test_any_order_with_anything_sent_again_says_the_same(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, seed: int, sizes: list[int]
) -> None:
    """Overlapping pieces of a stream, in any order, are the stream."""
    rng = Random(seed)
    pieces = [(at, data[at : at + 250]) for at in range(0, len(data), 250)]
    pieces += [(at := rng.randrange(len(data)), data[at : at + size]) for size in sizes]
    rng.shuffle(pieces)
    packets = [WHOLE[0], *(segment(0, True, at, piece) for at, piece in pieces)]
    packets = [Recorded(place, each.data) for place, each in enumerate(packets)]
    path = write(tmp_path_factory.getbasetemp() / "shuffled", pcap(packets, nano=True))
    made = list(replay_events(plan_of(path)))
    assert b"".join(each.data for each in made) == data


def test_every_packet_has_its_flow(tmp_path: Path) -> None:
    plan = plan_of(write(tmp_path / "capture", pcap(WHOLE)))
    assert {each.flow for each in replay_events(plan)} <= set(plan.flow_of.values())
