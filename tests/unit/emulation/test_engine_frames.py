"""Classification and forwarding of frames by the link engine (class, VLAN, port), and handling of invalid frames."""

from __future__ import annotations

import math
from itertools import pairwise, product

import pytest
from engine_bench import FOREVER, PIPES, PORTS, Bench, Line, ipv4, plain_line
from hypothesis import given
from hypothesis import strategies as st

from helsewan.emulation._linkengine import FRAME_MAX_BYTES, Engine
from helsewan.emulation.links.counters import LATENESS_BINS, bin_limits_ns

ADDRESSES = bytes(range(12))
OTHER = 3
TAGS = (0x8100, 0x88A8)  # 802.1Q and 802.1ad
TAG_STACKS = [stack for depth in range(3) for stack in product(TAGS, repeat=depth)]


def classes_of(frames: list[bytes]) -> list[int]:
    """The queue of each frame: on a line that is never free again, only the limit of its own queue is passed."""
    result = []
    for frame in frames:
        bench = Bench()
        dscp = bytes(value % 3 for value in range(64))
        bench.engine.configure(dscp, bytes(4 + value % 3 for value in range(8)), OTHER)
        bench.add(Line(1, 0, 0, (0,) * 8, (0,) * 8))
        bench.engine.simulate([(0, 0, frame), (0, 0, frame)], 0)
        result.append(bench.class_counts("drop_tail").index(1))
    return result


def tagged(*types: int, payload: bytes) -> bytes:
    """A frame whose tags (all of VLAN 100) and last type are given."""
    tags = b"".join(kind.to_bytes(2, "big") + b"\x00\x64" for kind in types[:-1])
    return ADDRESSES + tags + types[-1].to_bytes(2, "big") + payload


@pytest.mark.parametrize("tags", TAG_STACKS, ids=lambda tags: "-".join(f"{tag:x}" for tag in tags) or "untagged")
def test_every_code_point_and_traffic_class_finds_its_queue(tags: tuple[int, ...]) -> None:
    v4 = [tagged(*tags, 0x0800, payload=bytes([0x45, dscp << 2 | 3])) for dscp in range(64)]
    v6 = [tagged(*tags, 0x86DD, payload=bytes([0x60 | dscp >> 2, dscp << 6 & 0xFF | 0x3F])) for dscp in range(64)]
    assert classes_of(v4) == classes_of(v6) == [dscp % 3 for dscp in range(64)]
    for mpls in (0x8847, 0x8848):
        labels = [tagged(*tags, mpls, payload=bytes([0xFF, 0xFF, 0xF1 | tc << 1, 0xFF])) for tc in range(8)]
        assert classes_of(labels) == [4 + tc % 3 for tc in range(8)]


@pytest.mark.parametrize(
    "frame",
    [
        tagged(0x0806, payload=bytes(46)),  # ARP
        tagged(0x88CC, payload=bytes(46)),  # LLDP
        tagged(0x0800, payload=b""),  # cut short
        tagged(0x0800, payload=b"\x45"),
        tagged(0x0800, payload=b"\x65\x00"),  # not version 4
        tagged(0x86DD, payload=b"\x45\x00"),  # not version 6
        tagged(0x8847, payload=b"\x00\x00\x00"),
        tagged(0x8100, payload=b"\x00\x64\x08"),
        tagged(0x8100, 0x8100, 0x8100, 0x0800, payload=b"\x45\x00"),  # three tags
        tagged(0x88A8, 0x8100, 0x88A8, 0x0800, payload=b"\x45\x00"),
        tagged(0x88A8, payload=b"\x00\x64\x08"),
        tagged(0x8848, payload=b"\x00\x00\x00"),
        tagged(0x0040, payload=bytes(64)),  # 802.3 length
    ],
    ids=lambda frame: frame[12:].hex()[:20],
)
def test_what_is_neither_has_its_own_queue(frame: bytes) -> None:
    assert classes_of([frame]) == [OTHER]


@given(st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=80)), max_size=20))
def test_any_bytes_are_carried_whole_or_counted(frames: list[tuple[int, bytes]]) -> None:
    bench = Bench(ports=3)
    bench.configure(3)
    line = Line(1_000_000_000, 0, 24, (1 << 20,) * 3, (0, 1664, 1664))
    bench.add(line, (0, 0), (1, 5))
    bench.add(line, (1, 5), (0, 0))
    bench.add(line, (2, 7), (2, 8))
    delivered = bench.engine.simulate([(0, port, data) for port, data in frames], FOREVER)
    ports = bench.counters.ports
    assert ports["frames_in"].sum() == len(frames)
    assert len(delivered) == len(frames) - ports["drop_runt"].sum() - ports["drop_vlan"].sum()
    carried = [data for port, data in frames if port == 0 and len(data) >= 14]
    assert sorted(data for _, port, data in delivered if port == 1) == sorted(
        data[:12] + b"\x81\x00\x00\x05" + data[12:] for data in carried
    )


@pytest.mark.parametrize("length", [14, 60, 1514, 9014, FRAME_MAX_BYTES])
def test_frames_of_all_sizes_pass_unchanged(length: int) -> None:
    bench = Bench()
    bench.add(plain_line())
    frame = bytes(number % 251 for number in range(length))
    assert [data for _, _, data in bench.engine.simulate([(0, 0, frame)], FOREVER)] == [frame]


def test_runts_are_dropped_and_counted() -> None:
    bench = Bench()
    bench.add(plain_line())
    assert bench.engine.simulate([(0, 0, bytes(length)) for length in range(14)], FOREVER) == []
    assert bench.counters.ports[0]["drop_runt"] == 14
    assert bench.counters.pipes[0]["frames_in"] == 0


def test_a_trunk_tells_lines_apart_and_takes_their_tag_off() -> None:
    bench = Bench(ports=4)
    for port, vlan in ((1, 1), (2, 2), (3, 4094)):
        bench.add(plain_line(), (0, vlan), (port, 0))
    inner = ipv4(100)[12:]
    arrivals = [(0, 0, ADDRESSES + b"\x81\x00" + tci.to_bytes(2, "big") + inner) for tci in (2, 0x2FFE, 1)]
    delivered = bench.engine.simulate(arrivals, FOREVER)
    assert sorted(port for _, port, _ in delivered) == [1, 2, 3]
    assert {data for _, _, data in delivered} == {ADDRESSES + inner}


def test_a_trunk_drops_and_counts_what_it_has_no_line_for() -> None:
    bench = Bench()
    bench.add(plain_line(), (0, 7), (1, 0))
    unknown = [ADDRESSES + tag + ipv4(60)[12:] for tag in (b"", b"\x81\x00\x00\x08", b"\x81\x00\x00\x00")]
    assert bench.engine.simulate([(0, 0, frame) for frame in unknown], FOREVER) == []
    assert bench.counters.ports[0]["drop_vlan"] == 3


def test_a_lines_end_on_a_trunk_puts_its_tag_outside() -> None:
    bench = Bench()
    bench.add(plain_line(rate_bps=8_000_000), (0, 0), (1, 4094))
    own = ADDRESSES + b"\x81\x00\x00\x64" + ipv4(100)[12:]
    delivered = bench.engine.simulate([(0, 0, own)], FOREVER)
    # the tag is the trunk's, not the line's: 104 bytes at 1 byte a microsecond
    assert delivered == [(104_000, 1, ADDRESSES + b"\x81\x00\x0f\xfe" + own[12:])]


def test_from_trunk_to_trunk_the_tag_is_exchanged() -> None:
    bench = Bench()
    bench.add(plain_line(), (0, 7), (1, 8))
    frame = ADDRESSES + b"\x81\x00\x00\x07" + ipv4(60)[12:]
    delivered = bench.engine.simulate([(0, 0, frame)], FOREVER)
    assert [data for _, _, data in delivered] == [ADDRESSES + b"\x81\x00\x00\x08" + frame[16:]]


def test_a_port_without_a_pipe_drops_and_counts() -> None:
    bench = Bench()
    bench.add(plain_line())
    assert bench.engine.simulate([(0, 1, ipv4(60))], FOREVER) == []
    assert bench.counters.ports[1]["drop_vlan"] == 1


def test_frames_never_take_more_memory_than_allowed() -> None:
    memory_bytes = 64 * 1024
    bench = Bench(memory_bytes=memory_bytes)
    bench.add(plain_line(rate_bps=1))
    bench.engine.simulate([(0, 0, ipv4(1500))] * 100, 0)
    kept = bench.counters.pipes[0]["queued_frames"] + bench.counters.pipes[0]["flight_frames"]
    assert bench.drops() == {"drop_memory": 100 - kept}
    assert kept == 32  # blocks of 2 KiB
    assert bench.counters.engine[0]["memory_bytes"] <= memory_bytes


def test_memory_of_frames_gone_serves_frames_of_other_sizes() -> None:
    bench = Bench(memory_bytes=17 * 1024)  # one block for 9,000 bytes, and hardly more
    bench.add(plain_line(rate_bps=1_000_000_000_000))
    for second, length in enumerate((1500, 60, 9000, 1500)):
        arrivals = [(second * 1_000_000_000 + number * 1_000_000, 0, ipv4(length)) for number in range(500)]
        bench.engine.simulate(arrivals, FOREVER)
    assert bench.drops() == {}


@pytest.mark.parametrize(
    ("pipe", "message"),
    [
        ((9, 0, 1, 0), "no such port"),
        ((0, 0, 9, 0), "no such port"),
        ((0, 5, 1, 0), "either plain or a trunk"),
        ((0, 0, 1, 0), "another pipe leaves"),
        ((-1, 0, 1, 0), "src_port -1"),
        ((1, -1, 0, 0), "src_vlan -1"),
        ((1, 4095, 0, 0), "src_vlan 4095"),
        ((1, 0, 0, 4095), "dst_vlan 4095"),
        ((1, 0, 0), "pipe: 6 values, not 5"),
    ],
)
def test_an_impossible_pipe_is_refused(pipe: tuple[int, ...], message: str) -> None:
    bench = Bench()
    bench.add(plain_line())
    with pytest.raises(ValueError, match=message):
        bench.engine.add_pipes([plain_line().queues], [(*pipe, 0, plain_line().row)])
    assert bench.counters.engine[0]["pipes"] == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (plain_line(rate_bps=0), "rate_bps 0"),
        (plain_line(rate_bps=10**14), "rate_bps"),
        (plain_line(delay_ns=-1), "delay_ns -1"),
        (plain_line(delay_ns=10**13), "delay_ns"),
        (plain_line(overhead_bytes=-15), "overhead_bytes -15"),
        (plain_line(overhead_bytes=5000), "overhead_bytes 5000"),
        (plain_line(limit=-1), "limit_bytes -1"),
        (plain_line(loss=1.5), "loss good 1.5"),
        (plain_line(loss=math.nan), "loss good nan"),
        (Line(1, 0, 0, (), ()), "class queues, not 0"),
        (Line(1, 0, 0, (1,) * 9, (0,) * 9), "class queues, not 9"),
    ],
)
def test_an_impossible_model_is_refused(line: Line, message: str) -> None:
    bench = Bench()
    with pytest.raises(ValueError, match=message):
        bench.add(line)
    bench.add(plain_line())
    with pytest.raises(ValueError, match=message):
        bench.change(0, line=line)
    assert bench.counters.engine[0]["pipes"] == 1


@pytest.mark.parametrize(
    "tables",
    [
        (bytes(63), bytes(8), 0),
        (bytes(64), bytes(9), 0),
        (b"\x08" + bytes(63), bytes(8), 0),
        (bytes(64), b"\x08" + bytes(7), 0),
        (bytes(64), bytes(8), 8),
    ],
)
def test_impossible_classes_are_refused(tables: tuple[bytes, bytes, int]) -> None:
    with pytest.raises(ValueError, match=r"64 queues by DSCP, .* within 0\.\.7"):
        Bench().engine.configure(*tables)


def test_classes_are_not_changed_under_a_pipe() -> None:
    bench = Bench()
    bench.add(plain_line())
    with pytest.raises(ValueError, match="before pipes"):
        bench.configure(2)


def test_ports_and_counters_have_bounds() -> None:
    bench = Bench(ports=PORTS)
    with pytest.raises(ValueError, match="maximum number"):
        bench.engine.add_port(-1)
    with pytest.raises(ValueError, match="too small"):
        Engine(bytearray(100), PORTS, PIPES, 1 << 20)


def test_lateness_bins_tile_the_times() -> None:
    limits = bin_limits_ns().tolist()
    assert len(limits) == LATENESS_BINS
    assert limits[:12] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16]
    assert limits[-1] == 1 << 41
    assert all(1 < high / low <= 1.25 for low, high in pairwise(limits[3:]))
