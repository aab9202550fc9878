"""What the controller asks of one switch at a time. Every order ends with the switch's word that it is done."""

from __future__ import annotations

from dataclasses import dataclass

from controller.rules import GroupRule, RuleSet


@dataclass(frozen=True, slots=True)
class Program:
    """Replace all that the switch holds by this, in one step."""

    rules: RuleSet


@dataclass(frozen=True, slots=True)
class Add:
    """Install these beside what is there."""

    rules: RuleSet


@dataclass(frozen=True, slots=True)
class Turn:
    """Give existing groups new buckets, all in one step."""

    groups: tuple[GroupRule, ...]


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the flows whose cookie has these bits, then these groups."""

    cookie: int
    cookie_mask: int
    groups: tuple[int, ...]


Order = Program | Add | Turn | Remove
