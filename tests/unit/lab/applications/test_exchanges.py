"""Every kind of application over loopback: its client and its server complete exchanges, over IPv4 and IPv6."""

from __future__ import annotations

import itertools
import socket
import threading

import pytest
from loopback_exchanges import ended, exchange_spec, plain_socket, running
from waiting import wait_for

from helsewan.common.run_clock import RunClock
from helsewan.lab.applications.engine import ApplicationEngine
from helsewan.lab.flows.applications import (
    Application,
    Dicom,
    Ebxml,
    Hl7,
    SipCall,
    SipTransport,
    Span,
    ThinClient,
    Transaction,
    Web,
)


def exactly(value: int) -> Span:
    return Span(value, value)


KINDS: list[tuple[Application, int]] = [  # with the least that a client receives
    (Transaction(exactly(2_000), exactly(20_000)), 20_000),
    (Transaction(exactly(300_000), exactly(1_000_000)), 1_000_000),
    (Hl7(Span(2_000, 10_000)), 60),
    (Ebxml(Span(10_000, 25_000), exactly(4_000), exactly(5_000), exactly(10_000)), 8_990),
    (Dicom("CT", exactly(7), exactly(524_288), associations=3), 3 * 100),
    (Dicom("CR", exactly(1), exactly(8_000_000), associations=4), 100),
    (Web(exactly(20_000), exactly(9), exactly(3_000), 4, exactly(1), exactly(0)), 20_000 + 27_000),
    (ThinClient(Span(40, 120), exactly(60_000)), 60_000),
    (SipCall(SipTransport.UDP, exactly(20_000), exactly(50_000)), 0),
    (SipCall(SipTransport.TCP, exactly(20_000), exactly(50_000)), 0),
]


# Loopback has one IPv6 address: calls over IPv6, which take two, are in tests/emulated.
CASES = [(*kind, version) for kind in KINDS for version in (4, 6) if version == 4 or not isinstance(kind[0], SipCall)]


@pytest.mark.parametrize(
    ("application", "received_bytes", "version"), CASES, ids=[f"{case[0].kind}-IPv{case[2]}" for case in CASES]
)
def test_exchanges_complete(application: Application, received_bytes: int, version: int) -> None:
    done = ended(exchange_spec(application, version))
    assert [(one.ok, one.error) for one in done] == [(True, "")] * 5
    assert all(one.end_us > one.begin_us >= 0 for one in done)
    assert all(one.received_bytes >= received_bytes for one in done)


def test_bytes_of_both_directions_are_counted() -> None:
    (one, *_) = ended(exchange_spec(Dicom("CT", exactly(2), exactly(524_288), associations=2)))
    assert one.sent_bytes > 2 * 524_288
    (one, *_) = ended(exchange_spec(Hl7(exactly(4_000))))
    assert (one.sent_bytes, one.received_bytes < 200) == (4_003, True)  # with the 3 bytes of a block


def test_a_call_rings_is_answered_and_lasts() -> None:
    done = ended(exchange_spec(SipCall(SipTransport.UDP, exactly(100_000), exactly(300_000)), stop_us=10_000_000))
    for one in done:
        assert one.answered_us - one.begin_us >= 100_000
        assert one.end_us - one.answered_us >= 300_000


def test_a_call_is_hung_up_when_the_run_ends() -> None:
    done = ended(exchange_spec(SipCall(SipTransport.UDP, exactly(0), exactly(60_000_000)), stop_us=500_000))
    assert all(one.ok and one.end_us >= 500_000 for one in done)


def test_the_transport_receipt_comes_before_the_application_receipt() -> None:
    done = ended(exchange_spec(Ebxml(exactly(10_000), exactly(4_000), exactly(5_000), exactly(200_000))))
    for one in done:
        assert one.begin_us < one.answered_us <= one.end_us - 200_000


def test_web_sessions_have_pages_with_time_to_read_between_them() -> None:
    session = Web(exactly(5_000), exactly(2), exactly(1_000), 2, exactly(3), exactly(100_000))
    done = ended(exchange_spec(session, count=1), count=3)
    begins = [one.begin_us for one in done]
    assert all(later - sooner >= 100_000 for sooner, later in itertools.pairwise(begins))


def test_kept_connections_are_used_again() -> None:
    opened: list[str] = []

    def socket_in(site: str, family: int, kind: int) -> socket.socket:
        opened.append(site)
        return plain_socket(site, family, kind)

    spec = exchange_spec(Hl7(exactly(2_000)), count=20)
    assert all(one.ok for one in ended(spec, count=20, socket_in=socket_in))
    assert opened.count("a") < 20


def test_servers_of_two_protocols_at_one_port_are_refused() -> None:
    one = exchange_spec(Hl7(exactly(2_000)))
    other = exchange_spec(ThinClient(exactly(40), exactly(100)), port=one.port)
    with pytest.raises(ValueError, match="different protocols"):
        ApplicationEngine([one, other], plain_socket)


def test_an_engine_that_was_late_says_so() -> None:
    spec = exchange_spec(Hl7(exactly(2_000)), count=5)
    engine = ApplicationEngine([spec], plain_socket)
    all_due_ns = RunClock().now_ns() - 50_000_000
    engine.start(all_due_ns)  # it begins when all are due
    wait_for(lambda: len(engine.results) >= 5, "the exchanges to end", 20)
    engine.close()
    assert engine.health.worst_late_us >= 45_000
    assert engine.health.unbegun == 0


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    with running(exchange_spec(Hl7(exactly(2_000)))):
        pass
    assert threading.active_count() == before
