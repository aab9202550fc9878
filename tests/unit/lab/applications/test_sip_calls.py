"""SIP calls in virtual time: the usual one, and with every message lost once; timers; giving up; strangers."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sip_network import DELAY_US, Message, SipNetwork, lone_request

from helsewan.lab.applications.sip import sdp
from helsewan.lab.applications.sip.calls import CallPlan
from helsewan.lab.applications.sip.message import Request, Response, parse
from helsewan.lab.applications.sip.user_agent import UserAgent

PLAN = CallPlan(ring_us=1_000_000, duration_us=5_000_000, set_up_deadline_us=20_000_000)
CALLER, CALLEE = ("10.1.0.1", 5060), ("10.2.0.1", 5060)
CALLER6, CALLEE6 = ("fd00:1::1", 5060), ("fd00:2::1", 5060)
PORTS = range(16_384, 16_640)
MINUTE_US = 60_000_000


def agents(reliable: bool = False, version: int = 4) -> tuple[UserAgent, UserAgent]:
    addresses = (CALLER, CALLEE) if version == 4 else (CALLER6, CALLEE6)
    caller, callee = (UserAgent(address, PORTS, f"seed {address}", reliable) for address in addresses)
    return caller, callee


class LoseOnce:
    """Loses the first message of a name."""

    def __init__(self, name: str) -> None:
        self._name, self._done = name, False

    def __call__(self, message: Message) -> bool:
        name = message.method if isinstance(message, Request) else f"{message.status} {message.cseq[1]}"
        lose = name == self._name and not self._done
        self._done |= lose
        return lose


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("reliable", [False, True])
def test_a_call_is_set_up_and_ended(reliable: bool, version: int) -> None:
    caller, callee = agents(reliable, version)
    network = SipNetwork(caller, callee)
    call = caller.call(callee.address, PLAN, 0)
    network.run(MINUTE_US)
    assert (call.error, list(caller.ended)) == ("", [call])
    assert call.answered_us == PLAN.ring_us + 2 * DELAY_US
    assert call.ended_us == call.answered_us + PLAN.duration_us + 2 * DELAY_US
    names = [m.method if isinstance(m, Request) else m.status for _, m in network.seen]
    assert names == ["INVITE", 100, 180, 200, "ACK", "BYE", 200]
    assert call.remote_media is not None
    assert (call.remote_media.address, call.remote_media.port) == (callee.address[0], PORTS[0])


@pytest.mark.parametrize("version", [4, 6])
def test_messages_belong_together(version: int) -> None:
    """RFC 3261, 12.2: within the dialog Call-ID and tags stay, requests go to the Contact, CSeq grows."""
    caller, callee = agents(version=version)
    network = SipNetwork(caller, callee)
    caller.call(callee.address, PLAN, 0)
    network.run(MINUTE_US)
    messages = [message for _, message in network.seen]
    invite, ack, bye = (next(m for m in messages if isinstance(m, Request) and m.method == name)
                        for name in ("INVITE", "ACK", "BYE"))  # fmt: skip
    ok = next(m for m in messages if isinstance(m, Response) and m.status == 200)
    assert len({message.call_id for message in messages}) == 1
    assert len({message.get("from") for message in messages}) == 1
    assert ";tag=" in ok.get("to") and ok.get("to") == ack.get("to") == bye.get("to")
    assert [each.cseq for each in (invite, ack, bye)] == [(1, "INVITE"), (1, "ACK"), (2, "BYE")]
    assert len({each.via.branch for each in (invite, ack, bye)}) == 3
    assert bye.uri == ack.uri == ok.get("contact").strip("<>")
    offer, answer = sdp.read(invite.body), sdp.read(ok.body)
    assert answer.payload_types == offer.payload_types[:1]


@pytest.mark.parametrize("name", ["INVITE", "100 INVITE", "180 INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"])
def test_any_message_may_be_lost_once(name: str) -> None:
    caller, callee = agents()
    network = SipNetwork(caller, callee, lost=LoseOnce(name))
    call = caller.call(CALLEE, PLAN, 0)
    network.run(2 * MINUTE_US)
    assert call.error == ""
    assert network.sent(name), "it was never sent"


@given(st.integers(0, 2**32), st.sampled_from([0.1, 0.3]))
def test_calls_end_however_much_is_lost(seed: int, share: float) -> None:
    caller, callee = agents()
    rng = Random(seed)
    network = SipNetwork(caller, callee, lost=lambda _: rng.random() < share)
    calls = [caller.call(CALLEE, PLAN, 0) for _ in range(3)]
    network.run(5 * MINUTE_US)
    assert len(caller.ended) == 3
    assert all(call.ended_us is not None for call in calls)
    assert caller.due_us is None and callee.due_us is None, "a timer is left"
    assert not caller._clients and not callee._servers and not caller._dialogs, "a transaction is left"


def test_an_invite_is_repeated_at_doubling_intervals() -> None:
    """Timer A, and the caller's patience instead of timer B."""
    caller, callee = agents()
    network = SipNetwork(caller, callee, lost=lambda _: True)
    call = caller.call(CALLEE, PLAN, 0)
    network.run(MINUTE_US)
    assert [at_us / 1e6 for at_us in network.sent("INVITE")] == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert (call.error, call.ended_us) == ("deadline", PLAN.set_up_deadline_us)
    assert caller.due_us is None


def test_an_unanswered_invite_ends_after_64_t1() -> None:
    caller, callee = agents()
    network = SipNetwork(caller, callee, lost=lambda _: True)
    call = caller.call(CALLEE, CallPlan(0, 0, 100_000_000), 0)
    network.run(2 * MINUTE_US)
    assert (call.error, call.ended_us) == ("INVITE was not answered", 32_000_000)


def test_a_bye_is_repeated_up_to_every_four_seconds() -> None:
    """Timers E and F."""
    caller, callee = agents()
    network = SipNetwork(caller, callee, lost=lambda m: isinstance(m, Request) and m.method == "BYE")
    call = caller.call(CALLEE, PLAN, 0)
    network.run(2 * MINUTE_US)
    byes = network.sent("BYE")
    assert [(at_us - byes[0]) / 1e6 for at_us in byes] == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert (call.error, call.ended_us) == ("BYE was not answered", byes[0] + 32_000_000)


def test_an_answer_is_repeated_until_its_ack() -> None:
    """RFC 3261, 13.3.1.4; the callee ends the call when none comes."""
    caller, callee = agents()
    network = SipNetwork(caller, callee, lost=lambda m: isinstance(m, Request) and m.method == "ACK")
    caller.call(CALLEE, CallPlan(0, 100_000_000, 20_000_000), 0)
    network.run(MINUTE_US)
    answers = network.sent("200 INVITE")
    assert [(at_us - answers[0]) / 1e6 for at_us in answers[:5]] == [0, 0.5, 1.5, 3.5, 7.5]
    assert len(network.sent("ACK")) == len(answers)
    assert not callee._dialogs


@pytest.mark.parametrize(
    ("by_us", "talk_us"), [(3_000_000, 3_000_000 - 1_020_000), (1_000_000, 0), (9_000_000, 5_000_000)]
)
def test_a_caller_hangs_up_by_a_time(by_us: int, talk_us: int) -> None:
    caller, callee = agents()
    network = SipNetwork(caller, callee)
    call = caller.call(CALLEE, replace(PLAN, hang_up_by_us=by_us), 0)
    network.run(MINUTE_US)
    assert (call.error, call.answered_us) == ("", 1_020_000)
    assert call.ended_us == call.answered_us + talk_us + 2 * DELAY_US


def test_a_caller_gives_up_while_it_rings() -> None:
    caller, callee = agents()
    network = SipNetwork(caller, callee)
    call = caller.call(CALLEE, CallPlan(30_000_000, 1_000_000, 2_000_000), 0)
    network.run(2 * MINUTE_US)
    names = [m.method if isinstance(m, Request) else m.status for _, m in network.seen]
    assert names == ["INVITE", 100, 180, "CANCEL", 487, 200, "ACK"]
    assert (call.error, call.ended_us) == ("deadline", 2_000_000)
    assert caller.due_us is None and callee.due_us is None


def test_an_answer_that_crosses_the_cancel_is_hung_up() -> None:
    """RFC 3261, 15: a 2xx after a CANCEL is acknowledged, then the session is ended."""
    caller, callee = agents()
    network = SipNetwork(caller, callee)
    call = caller.call(CALLEE, CallPlan(1_000_000, 1_000_000, 1_015_000), 0)
    network.run(2 * MINUTE_US)
    names = [m.method if isinstance(m, Request) else m.status for _, m in network.seen]
    assert names == ["INVITE", 100, 180, 200, "CANCEL", "ACK", "BYE", 200, 200]
    assert call.error == "deadline"
    assert not callee._dialogs


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (lone_request("OPTIONS"), 200),
        (lone_request("BYE", to="<sip:b@10.2.0.1>;tag=2"), 481),
        (lone_request("CANCEL"), 481),
        (lone_request("INVITE", to="<sip:b@10.2.0.1>;tag=2"), 481),
        (lone_request("SUBSCRIBE"), 405),
        (lone_request("INVITE", b"v=0\r\nm=video 1 RTP/AVP 96\r\n"), 488),
        (lone_request("INVITE", sdp.write(sdp.Audio("10.9.0.1", 4000, (97,)), 1)), 488),
    ],
)
def test_a_stranger_gets_a_response(data: bytes, status: int) -> None:
    network = SipNetwork(*agents())
    responses = list(network.inject(data, ("10.9.0.7", 40_000), CALLEE))
    assert [answer.status for answer in responses if isinstance(answer, Response)][-1] == status
    via = responses[-1].via
    assert (via.parameters["received"], via.parameters["rport"]) == ("10.9.0.7", "40000")
    allow = responses[-1].get("allow")
    assert status in (481, 488) or allow == "INVITE, ACK, CANCEL, BYE, OPTIONS"


def test_an_invite_without_an_offer_is_answered_with_one() -> None:
    caller, callee = agents()
    network = SipNetwork(caller, callee)
    network.inject(lone_request("INVITE"), ("10.9.0.1", 5061), CALLEE)
    network.run(1_000_000)
    ok = next(m for _, m in network.seen if isinstance(m, Response) and m.status == 200)
    assert sdp.read(ok.body).payload_types == sdp.KNOWN


def test_a_request_that_comes_twice_is_answered_twice_and_done_once() -> None:
    caller, callee = agents()
    network = SipNetwork(caller, callee)
    first = network.inject(lone_request("OPTIONS"), ("10.9.0.1", 5061), CALLEE)
    assert network.inject(lone_request("OPTIONS"), ("10.9.0.1", 5061), CALLEE) == first


def test_the_same_seed_gives_the_same_messages() -> None:
    def said() -> list[tuple[int, Message]]:
        caller, callee = agents()
        network = SipNetwork(caller, callee)
        caller.call(CALLEE, PLAN, 0)
        network.run(MINUTE_US)
        return network.seen

    assert said() == said()


def test_a_callee_that_hangs_up_first_ends_the_call() -> None:
    caller, callee = agents()
    network = SipNetwork(caller, callee)
    call = caller.call(CALLEE, PLAN, 0)
    network.run(3_000_000)
    ok = next(m for _, m in network.seen if isinstance(m, Response) and m.status == 200)
    headers = (
        ("via", "SIP/2.0/UDP 10.2.0.1:5060;branch=z9hG4bK9"),
        ("from", ok.get("to")),
        ("to", ok.get("from")),
        ("call-id", call.call_id),
        ("cseq", "1 BYE"),
    )
    (answer,) = network.inject(Request(headers, b"", "BYE", "sip:a@10.1.0.1").encode(), CALLEE, CALLER)
    assert isinstance(answer, Response) and answer.status == 200
    assert (call.error, call.ended_us) == ("hung up by the callee", 3_000_000)


def test_messages_parse_as_they_were_written() -> None:
    caller, callee = agents()
    network = SipNetwork(caller, callee)
    caller.call(CALLEE, PLAN, 0)
    network.run(MINUTE_US)
    for _, message in network.seen:
        assert parse(message.encode()) == message
