"""Schema of what an event does: the targets of actions and their settings.

What depends on the network is checked by ``timeline.targets``, what depends on the policy by ``timeline.policies``.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from helsewan.common.errors import InputError
from helsewan.common.units import UnitError
from helsewan.emulation.links.capture import SNAP_BYTES
from helsewan.lab.links.link_options import parsed_change
from helsewan.policies.language.schema import ContractSpec, Duration, QuarantineSpec
from helsewan.scenarios.spec.values import Count, Strict
from helsewan.topology.model import Region

Text = Annotated[str, Field(min_length=1, max_length=4000)]


class OneTarget(Strict):
    """Exactly one of the fields in ``CHOICES`` is given."""

    CHOICES: ClassVar[tuple[str, ...]]

    @model_validator(mode="after")
    def _exactly_one(self) -> OneTarget:
        if sum(getattr(self, name) is not None for name in self.CHOICES) != 1:
            raise UnitError("is not exactly one target", f"give one of {', '.join(self.CHOICES)}")
        return self

    @property
    def chosen(self) -> str:
        """The name of the field that is given."""
        return next(name for name in self.CHOICES if getattr(self, name) is not None)


class TargetSpec(OneTarget):
    """What fails or is restored: exactly one of these. When a router fails, it loses its power, its state, and the
    carrier of its links."""

    CHOICES: ClassVar[tuple[str, ...]] = (
        "region",
        "region_core",
        "pop",
        "router",
        "link",
        "access",
        "site",
        "srlg",
        "controller",
    )

    region: Region | None = None
    region_core: Region | None = None
    pop: str | None = None
    router: str | None = None
    link: str | None = None
    access: str | None = None
    site: str | None = None
    srlg: str | None = None
    controller: Literal["leading"] | None = None


class LinksSpec(OneTarget):
    """Links: one between routers, one access link, all of a site, those of a shared-risk group, or all of a router."""

    CHOICES: ClassVar[tuple[str, ...]] = ("link", "access", "site", "srlg", "router")

    link: str | None = None
    access: str | None = None
    site: str | None = None
    srlg: str | None = None
    router: str | None = None


OneWay = Literal["forward", "back"]
Ways = Literal["both", "forward", "back"]


class CutSpec(LinksSpec):
    """One direction of links is cut: it carries nothing, and the receiving end loses carrier. ``forward``: from a
    link's first router, or from the site."""

    direction: OneWay


class BlackholeSpec(LinksSpec):
    """Links accept frames and drop them; both ends keep their carrier."""

    direction: Ways = "both"


class FlapSpec(LinksSpec):
    """Links lose carrier for ``down``, regain it for ``up``, and so on, ``times`` in all."""

    down: Annotated[Duration, Field(ge=1_000)]
    up: Annotated[Duration, Field(ge=1_000)]
    times: Count

    @property
    def lasts(self) -> int:
        """From the first loss of carrier to the last return of it, us."""
        return self.times * (self.down + self.up) - self.up


def _texts(value: object) -> object:
    """A map of classes to texts; numbers are texts too."""
    return {key: str(each) for key, each in value.items()} if isinstance(value, Mapping) else value


def _text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


_Setting = Annotated[str, BeforeValidator(_text)]
_ByClass = Annotated[
    dict[str, str],
    BeforeValidator(_texts),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "integer"]}}),
]


class SetSpec(LinksSpec):
    """New settings of links, as those of ``helsewan link set``, or a ``trace`` that they follow: a CSV file beside the
    scenario's, which restarts every ``repeat``. Settings that are not given stay as they are."""

    direction: Ways = "both"
    rate: _Setting | None = None
    delay: _Setting | None = None
    jitter: _Setting | None = None
    jitter_distribution: _Setting | None = None
    order: _Setting | None = None
    loss: _Setting | None = None
    loss_bursts: _Setting | None = None
    loss_correlated: _Setting | None = None
    duplicate: _Setting | None = None
    corrupt: _Setting | None = None
    mtu: _Setting | None = None
    buffer: _Setting | None = None
    overhead: _Setting | None = None
    weight: _ByClass = Field(default_factory=dict)
    limit: _ByClass = Field(default_factory=dict)
    aqm: _ByClass = Field(default_factory=dict)
    trace: Text | None = None
    repeat: Annotated[Duration, Field(ge=1_000)] | None = None

    @model_validator(mode="after")
    def _something(self) -> SetSpec:
        try:
            change = self.change
        except InputError as error:  # the first: pydantic takes one from a validator
            problem = error.problems[0]
            setting = problem.where.removeprefix("--").replace("-", "_")
            raise UnitError(f"{setting} {problem.value!r} {problem.reason}", problem.hint) from None
        if bool(change) == (self.trace is not None):
            raise UnitError("is not either settings or a trace", "give for example delay: 20 ms, or trace: FILE.csv")
        if self.repeat is not None and self.trace is None:
            raise UnitError("repeats no trace", "give trace, or leave repeat out")
        return self

    @property
    def change(self) -> dict[str, Any]:
        """The settings as the fields of a `link_change.LinkChange`. Raises InputError."""
        texts = {name.replace("_", "-"): getattr(self, name) for name in SETTINGS}
        by_class = {name: [f"{cls}={text}" for cls, text in getattr(self, name).items()] for name in BY_CLASS}
        return parsed_change(texts, by_class)


BY_CLASS = ("weight", "limit", "aqm")
_OTHER_KEYS = (*LinksSpec.model_fields, *BY_CLASS, "direction", "trace", "repeat")
SETTINGS = tuple(name for name in SetSpec.model_fields if name not in _OTHER_KEYS)


class PauseSpec(OneTarget):
    """What stands still: a router or link (frames wait until it goes on), or the leading controller (SIGSTOP)."""

    CHOICES: ClassVar[tuple[str, ...]] = ("link", "access", "router", "controller")

    link: str | None = None
    access: str | None = None
    router: str | None = None
    controller: Literal["leading"] | None = None


class PartitionSpec(OneTarget):
    """The routers that lose the management network, and with it their controllers: they go on with what they have."""

    CHOICES: ClassVar[tuple[str, ...]] = ("region", "region_core", "pop", "router", "everywhere")

    region: Region | None = None
    region_core: Region | None = None
    pop: str | None = None
    router: str | None = None
    everywhere: Literal[True] | None = None


class WithdrawSpec(OneTarget):
    """A link or PoP that is taken out of service for maintenance: traffic is moved away first, and nothing fails."""

    CHOICES: ClassVar[tuple[str, ...]] = ("link", "pop")

    link: str | None = None
    pop: str | None = None


class ExceptionAction(ContractSpec):
    """A contract that holds from the event until it ends, as an exception of a policy does."""

    reason: Text


class QuarantineAction(QuarantineSpec):
    """Sites that are cut off by policy from all others."""


def _words(value: object) -> object:
    """A command line as words, as a shell splits it."""
    try:
        return shlex.split(value) if isinstance(value, str) else value
    except ValueError as error:
        raise UnitError(f"is no command line: {error}".lower(), "close all quotes") from None


def _not_blank(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words:
        raise UnitError("is empty", "write for example ping -c 3 10.0.0.1")
    return words


Words = Annotated[
    tuple[str, ...],
    BeforeValidator(_words),
    AfterValidator(_not_blank),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class CommandSpec(Strict):
    """A command at a site, without a shell; it is ended with the run. Its output is kept in the run's directory."""

    site: str
    run: Words


class CaptureSpec(OneTarget):
    """A link whose frames are captured to a pcapng file in the run's directory, up to ``snap`` bytes of each."""

    CHOICES: ClassVar[tuple[str, ...]] = ("link", "access")

    link: str | None = None
    access: str | None = None
    direction: Ways = "both"
    snap: Annotated[int, Field(strict=True, ge=64, le=SNAP_BYTES)] = SNAP_BYTES
