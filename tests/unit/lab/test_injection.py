"""Which injection requests a running lab accepts, and which it refuses."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from controller_plan import small_plan

from helsewan.lab.probing.injection_file import decode_result, encode_frames, encode_result, encode_sessions
from helsewan.lab.probing.packet_injector import InjectionResult, ReceivedFrame, ScheduledFrame
from helsewan.lab.probing.session_prober import SessionSpec
from helsewan.lab.server.control_socket import OperationRefused
from helsewan.lab.server.injection import InjectionRequest, start_injection, start_sessions

NETWORK = small_plan().network
SITE = NETWORK.sites[0].id
REQUEST = InjectionRequest(mark="00" * 12, listen_s=0.0)


@pytest.fixture
def file() -> Iterator[int]:
    descriptor = os.memfd_create("probes")
    yield descriptor
    os.close(descriptor)


def put(file: int, contents: bytes) -> int:
    os.pwrite(file, contents, 0)
    return file


def test_valid_frames_are_accepted(file: int) -> None:
    put(file, encode_frames([ScheduledFrame(SITE, 0, b"\x01\x02", 0), ScheduledFrame(SITE, 0, b"\x03", 1000)]))
    assert start_injection({}, NETWORK, REQUEST, [file]).value == {"count": 2}


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"no JSON",
        b'[["site"]]',
        encode_frames([ScheduledFrame("nowhere", 0, b"\x01", 0)]),
        encode_frames([ScheduledFrame("bergen-gp", 1, b"\x01", 0)]),
        encode_frames([ScheduledFrame(SITE, 0, b"", 0)]),
        encode_frames([ScheduledFrame(SITE, 0, b"\x01" * 2049, 0)]),
        encode_frames([ScheduledFrame(SITE, 0, b"\x01", -1)]),
    ],
)
def test_invalid_files_are_refused_before_anything_is_sent(file: int, contents: bytes) -> None:
    with pytest.raises(OperationRefused):
        start_injection({}, NETWORK, REQUEST, [put(file, contents)])


def test_sessions_are_between_sites(file: int) -> None:
    spec = SessionSpec(SITE, "nowhere", "10.0.0.2", "10.0.1.2", 6, 443)
    with pytest.raises(OperationRefused, match="no site"):
        start_sessions({}, [put(file, encode_sessions([spec]))])


def test_the_outcome_is_read_as_it_was_written() -> None:
    outcome = InjectionResult((ReceivedFrame(SITE, b"\x01\x02"),), unsent=1, delayed_us=2, dropped={SITE: 3})
    assert decode_result(encode_result(outcome)) == outcome
