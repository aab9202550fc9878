"""Replays of witnesses: the frame contains the witness's packet, and its arrivals are reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sample_reports import leak, report

from helsewan.lab.proofs.replay import Replayed, Witness, frame_of, print_replay, read_witness
from helsewan.lab.proofs.witness_files import write_witnesses
from helsewan.verification.concrete.frames import read
from helsewan.verification.concrete.packet import Label, Packet

MARK = b"helsewan-mark"


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    """The witness of a leak, written and read again."""
    write_witnesses(tmp_path / "w", report().violations)
    return read_witness(tmp_path / "w" / "001-leak.json")


def sending(witness: Witness, packet: Packet) -> Witness:
    labels = [{"label": each.label, "tc": each.tc, "ttl": each.ttl} for each in packet.labels]
    fields = {name: hex(value) for name, value in packet.fields.items()}
    data = witness.model_dump(by_alias=True) | {"packet": {"fields": fields, "labels": labels}}
    return Witness.model_validate_json(json.dumps(data))


def test_the_frame_is_the_witnesss_packet(witness: Witness) -> None:
    frame = frame_of(witness, MARK)
    packet = leak().packet
    assert packet is not None and frame.endswith(MARK)
    assert read(frame).fields.items() >= packet.fields.items()


def test_labels_and_addresses_of_any_length_survive(witness: Witness) -> None:
    packet = Packet.of(
        Label(16, 5, 64), Label(1001, 5, 63), eth_type=0x86DD, eth_src=1, eth_dst=2, ipv6_src="fd68::1",
        ipv6_dst="fd68::2", ip_proto=17, udp_src=1, udp_dst=2, ip_dscp=46, ip_ecn=0, nw_ttl=64, ip_frag=0,
    )  # fmt: skip
    assert read(frame_of(sending(witness, packet), MARK)) == packet


def test_a_long_packet_is_as_long(witness: Witness) -> None:
    long = Packet({**witness.packet.fields, "frame_bytes": 1400}, ())
    assert len(frame_of(sending(witness, long), MARK)) == 1400


def test_it_is_told_whether_the_network_does_as_the_witness_says(
    witness: Witness, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = Replayed(witness, ())
    assert witness.arrives_at == frozenset() and stopped.matches
    passed = Replayed(witness, (("hospital-x", read(frame_of(witness, MARK))),))
    assert not passed.matches
    print_replay(stopped)
    assert "arrives nowhere within 2 s\nas the witness predicts\n" in capsys.readouterr().out
    print_replay(passed)
    assert "arrives at hospital-x: TCP 10." in capsys.readouterr().out
