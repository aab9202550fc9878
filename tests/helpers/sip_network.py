"""SIP agents on a network in virtual time that delays and loses messages as it is told."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

from helsewan.lab.applications.sip.message import Address, Request, Response, parse
from helsewan.lab.applications.sip.user_agent import UserAgent

DELAY_US = 10_000
Message = Request | Response
Lost = Callable[[Message], bool]


class SipNetwork:
    """``lost`` says of each message whether it is lost; ``seen`` has all, with the time at which each was sent."""

    def __init__(self, *agents: UserAgent, lost: Lost = lambda _: False) -> None:
        self.now_us = 0
        self.seen: list[tuple[int, Message]] = []
        self._agents = {agent.address: agent for agent in agents}
        self._lost = lost
        self._under_way: list[tuple[int, int, bytes, Address, Address]] = []
        self._numbers = count()

    def run(self, until_us: int) -> None:
        """Let time pass."""
        while True:
            for agent in self._agents.values():
                self._take(agent)
            times = [agent.due_us for agent in self._agents.values() if agent.due_us is not None]
            times += [arrival[0] for arrival in self._under_way[:1]]
            if not times or min(times) > until_us:
                self.now_us = until_us
                return
            self.now_us = max(self.now_us, min(times))
            while self._under_way and self._under_way[0][0] <= self.now_us:
                _, _, data, source, peer = heapq.heappop(self._under_way)
                self._agents[peer].receive(data, source, self.now_us)
            for agent in self._agents.values():
                agent.fire(self.now_us)

    def inject(self, data: bytes, source: Address, peer: Address) -> list[Message]:
        """Pass a message to the agent at ``peer``; what it sends at once."""
        agent = self._agents[peer]
        agent.receive(data, source, self.now_us)
        answers = [parse(message) for message, _ in agent.outbox]
        agent.outbox.clear()
        return answers

    def sent(self, what: str) -> list[int]:
        """When requests of a method, or responses of a status, were sent."""
        return [at_us for at_us, message in self.seen if _name(message) == what]

    def _take(self, agent: UserAgent) -> None:
        while agent.outbox:
            data, peer = agent.outbox.popleft()
            message = parse(data)
            self.seen.append((self.now_us, message))
            if peer in self._agents and not self._lost(message):
                arrival = self.now_us + DELAY_US, next(self._numbers), data, agent.address, peer
                heapq.heappush(self._under_way, arrival)


def _name(message: Message) -> str:
    return message.method if isinstance(message, Request) else f"{message.status} {message.cseq[1]}"


def lone_request(method: str, body: bytes = b"", to: str = "<sip:b@10.2.0.1>") -> bytes:
    """A request of an agent at 10.9.0.1, outside any transaction and call."""
    headers = (
        ("via", "SIP/2.0/UDP 10.9.0.1:5061;branch=z9hG4bK1;rport"),
        ("from", "<sip:a@10.9.0.1>;tag=1"),
        ("to", to),
        ("call-id", "1@10.9.0.1"),
        ("cseq", f"1 {method}"),
    )
    return Request(headers, body, method, "sip:b@10.2.0.1").encode()
