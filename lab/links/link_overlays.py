"""Changes to links that each last until they are ended: several on one link add up, and ending one leaves the
others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from helsewan.emulation.links.pipe_model import Direction, PipeModel
from helsewan.emulation.links.trace import Trace
from helsewan.lab.links.link_change import LinkChange, applied
from helsewan.lab.links.link_control import LinkControl


@dataclass(frozen=True)
class LinkOverlay:
    """What is done to ``directions`` of the links ``names``: a ``change`` of their models, a ``trace`` that they
    follow, named ``file``, a ``blackhole``, or, with both directions, a pause."""

    names: tuple[str, ...]
    directions: tuple[Direction, ...] = tuple(Direction)
    change: LinkChange | None = None
    trace: Trace | None = None
    file: str = ""
    blackhole: bool = False
    paused: bool = False


class LinkOverlays:
    """The overlays on the links of ``control``. Times are those of the change (CLOCK_REALTIME, ns)."""

    def __init__(self, control: LinkControl, queue_of: Mapping[str, int]) -> None:
        """``queue_of`` maps classes to queues."""
        self._control, self._queue_of = control, queue_of
        self._overlays: dict[str, LinkOverlay] = {}

    def begin(self, key: str, overlay: LinkOverlay) -> int:
        """Put an overlay, under an unused ``key``, on top of those that there are; returns the time. Raises
        EngineError, and ValueError for a change that does not fit a link."""
        assert key not in self._overlays, key
        self._overlays[key] = overlay
        try:
            return self._adapt(overlay, begins=True)
        except BaseException:
            del self._overlays[key]
            raise

    def end(self, key: str) -> int:
        """Take an overlay away; returns the time."""
        return self._adapt(self._overlays.pop(key), begins=False)

    def _adapt(self, overlay: LinkOverlay, begins: bool) -> int:
        if overlay.change is not None:
            return self._control.set_models({name: self._model(name) for name in overlay.names})
        if overlay.trace is not None:
            return self._follow(overlay)
        if overlay.blackhole:
            others = set() if begins else set(self._ends(each for each in self._overlays.values() if each.blackhole))
            found = [end for end in self._ends([overlay]) if end not in others]
            return self._control.set_blackholes(found, begins)
        names = set(overlay.names)
        if not begins:
            names -= {name for each in self._overlays.values() if each.paused for name in each.names}
        return self._control.set_paused(sorted(names), begins)

    def _model(self, name: str) -> tuple[PipeModel, PipeModel]:
        """A link's models with all changes applied, in the order in which they began."""
        forward, back = self._control.originals[name]
        for overlay in self._overlays.values():
            if overlay.change is not None and name in overlay.names:
                if Direction.FORWARD in overlay.directions:
                    forward = applied(overlay.change, forward, self._queue_of)
                if Direction.BACK in overlay.directions:
                    back = applied(overlay.change, back, self._queue_of)
        return forward, back

    def _follow(self, overlay: LinkOverlay) -> int:
        """Let each of the overlay's directions follow the latest trace that there is for it."""
        times_ns = []
        for end in self._ends([overlay]):
            latest = [each for each in self._overlays.values() if each.trace and end in self._ends([each])]
            trace, file = (latest[-1].trace, latest[-1].file) if latest else (None, "")
            times_ns.append(self._control.follow_trace(*end, trace, file))
        return times_ns[0]

    @staticmethod
    def _ends(overlays: Iterable[LinkOverlay]) -> Iterator[tuple[str, Direction]]:
        for overlay in overlays:
            yield from ((name, direction) for name in overlay.names for direction in overlay.directions)
