from collections.abc import Sequence
from typing import Any, TypeAlias

from typing_extensions import Buffer

Rows: TypeAlias = Sequence[Sequence[Any]]  # linkengine/rows.c says of what

STATS_LAYOUT: int
ENGINE_STATS_BYTES: int
PORT_STATS_BYTES: int
PIPE_STATS_BYTES: int
CLASS_STATS_BYTES: int
FRAME_MAX_BYTES: int

class Engine:
    def __new__(cls, counters: Buffer, max_ports: int, max_pipes: int, memory_bytes: int) -> Engine: ...
    def configure(self, queue_of_dscp: bytes, queue_of_tc: bytes, queue_of_other: int, /) -> None: ...
    def add_port(self, fd: int, /) -> int: ...
    def add_pipes(self, queues: Sequence[Rows], pipes: Rows, /) -> list[int]: ...
    def set_pipes(self, queues: Sequence[Rows], changes: Rows, now_ns: int = -1, /) -> None: ...
    def start_capture(self, pipes: Sequence[int], fd: int, snap_bytes: int, /) -> None: ...
    def stop_capture(self, pipes: Sequence[int], /) -> None: ...
    def follow_trace(
        self,
        pipes: Sequence[int],
        points: Buffer | None,
        repeat_ns: int,
        has_rate: bool,
        has_delay: bool,
        has_loss: bool,
        now_ns: int = -1,
        /,
    ) -> None: ...
    def restart_lateness(self) -> None: ...
    def run(self, control_fd: int, /) -> None: ...
    def simulate(
        self, arrivals: Sequence[tuple[int, int, bytes]], until_ns: int, prompt: bool = True
    ) -> list[tuple[int, int, bytes]]: ...
