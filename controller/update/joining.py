"""Switches that connect: their tables are read back, and they are sent the difference to their target.

A switch is *joining* from its connection (or from a deviation that the audit found) until it holds its target. While a
controller starts, the tables that switches hold at first are gathered: another controller may have programmed them.
Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.update.commands import Assignment, Event, Output, Read, Refusal, SwitchCommand, Update, updates
from helsewan.controller.update.network_state import LiveNetwork
from helsewan.controller.update.rule_diff import difference


@dataclass
class _Joining:
    """One joining switch; ``target`` are its entries once the remaining ``commands`` are carried out."""

    since: float
    target: RuleSet | None = None  # None: its tables are being read
    commands: list[Update] = field(default_factory=list)
    sent: int = 0  # entries added, changed and removed so far


@dataclass
class JoiningSwitches:
    """The joining switches, and which milestones were reported. ``target`` returns the entries that a router is to
    hold now."""

    live: LiveNetwork
    target: Callable[[str], RuleSet]
    switches: dict[str, _Joining] = field(default_factory=dict)
    gathered: dict[str, RuleSet] | None = field(default_factory=dict)  # tables as first read; None: start is over
    began: float | None = None  # when the first switch connected
    all_reported: bool = False
    links_reported: bool = False

    def connected(self, router: str, now: float) -> Assignment:
        """A switch connected: returns the command that reads its tables."""
        self.began = now if self.began is None else self.began
        self.switches[router] = _Joining(now)
        return Assignment(router, Read())

    def deviates(self, router: str, now: float) -> None:
        """A programmed switch does not hold its target: it joins again, with its tables read already."""
        self.switches[router] = _Joining(now)

    def disconnected(self, router: str) -> None:
        """A switch's connection ended."""
        self.switches.pop(router, None)
        if self.gathered is not None:
            self.gathered.pop(router, None)

    def is_being_read(self, router: str) -> bool:
        """Whether the tables of a joining switch were requested and not received yet."""
        joining = self.switches.get(router)
        return joining is not None and joining.target is None

    def awaits(self, router: str, command: SwitchCommand) -> bool:
        """Whether ``command`` is the one that a joining switch is carrying out."""
        joining = self.switches.get(router)
        return joining is not None and bool(joining.commands) and joining.commands[0] is command

    def program(self, router: str, held: RuleSet) -> list[Output]:
        """The first command that leads from ``held`` to the target; none where the switch holds it."""
        joining = self.switches[router]
        joining.target = self.target(router)
        change = difference(held, joining.target)
        joining.commands, joining.sent = list(updates(change)), joining.sent + len(change)
        return [Assignment(router, joining.commands[0])] if joining.commands else []

    def answered(self, router: str, refusal: Refusal | None) -> list[Output]:
        """The next command after an answered one; none where the switch holds its target. After a refusal the meters
        that were changed are restored, and the switch stays unprogrammed."""
        joining = self.switches[router]
        command = joining.commands.pop(0)
        if refusal is not None:
            del self.switches[router]
            details = {"message": f"refused: {refusal.reason}", "router": router, "rule": refusal.rule}
            back = updates(command.difference.meters().inverse())
            return [Event("error", details), *(Assignment(router, each) for each in back)]
        if joining.commands:
            return [Assignment(router, joining.commands[0])]
        assert joining.target is not None
        return self.program(router, joining.target)  # the target may have changed meanwhile

    def programmed(self, router: str, now: float) -> list[Output]:
        """A switch holds its target: it is no longer joining. Returns the events that report it."""
        joining = self.switches.pop(router)
        if router in self.live.ready:
            return [Event("drift-repaired", {"router": router, "entries": joining.sent})]
        self.live.programmed(router)
        return [self.report(router, joining.sent, now - joining.since), *self.milestones(now)]

    def adopt(self, held: dict[str, RuleSet]) -> dict[str, float]:
        """Takes the switches whose tables were gathered as programmed; returns since when each was joining."""
        known = [router for router in self.switches if self.is_being_read(router) and router in held]
        since = {router: self.switches.pop(router).since for router in known}
        for router in known:
            self.live.programmed(router)
        return since

    def report(self, router: str, changed: int, seconds: float) -> Event:
        """The event that a switch is programmed, after so many changed entries and seconds."""
        rules = self.target(router)
        size = {"flows": len(rules.flows), "groups": len(rules.groups), "changed": changed}
        return Event("switch-programmed", {"router": router, **size, "seconds": round(seconds, 3)})

    def milestones(self, now: float) -> list[Output]:
        """The events that all switches are programmed and that all links are up, each once."""
        return [*self._all_programmed(now), *self.all_links_up(now)]

    def all_links_up(self, now: float) -> list[Output]:
        """The event that all links are up: once, when every switch is programmed and both ends of every link are up."""
        if self.links_reported or not self.all_reported or self.live.awaiting_bfd or self.live.failures().links:
            return []
        self.links_reported = True
        return [Event("all-links-up", {"seconds": round(now - (self.began or now), 3)})]

    def _all_programmed(self, now: float) -> list[Output]:
        routers = self.live.network.routers
        if self.all_reported or len(self.live.ready) < len(routers):
            return []
        self.all_reported, self.gathered = True, None
        programs = [self.target(router.id) for router in routers]
        seconds = round(now - (self.began or now), 3)
        flows, groups = sum(len(p.flows) for p in programs), sum(len(p.groups) for p in programs)
        return [Event("all-programmed", {"flows": flows, "groups": groups, "seconds": seconds})]
