from collections.abc import Sequence

from typing_extensions import Buffer

STATS_LAYOUT: int
ENGINE_STATS_BYTES: int
PORT_STATS_BYTES: int
PIPE_STATS_BYTES: int
FRAME_MAX_BYTES: int

class Engine:
    def __new__(cls, counters: Buffer, max_ports: int, max_pipes: int, memory_bytes: int) -> Engine: ...
    def configure(
        self, queue_of_dscp: bytes, queue_of_tc: bytes, queue_of_other: int, quantum_bytes: Sequence[int], /
    ) -> None: ...
    def add_port(self, fd: int, /) -> int: ...
    def add_pipe(
        self,
        src_port: int,
        src_vlan: int,
        dst_port: int,
        dst_vlan: int,
        rate_bps: int,
        delay_ns: int,
        overhead_bytes: int,
        queue_limits: Sequence[int],
        loss: int = 0,
        seed: int = 0,
    ) -> int: ...
    def set_pipes(
        self,
        changes: Sequence[tuple[int, int | None, int | None, bool | None, int | None]],
        now_ns: int = -1,
        /,
    ) -> None: ...
    def restart_lateness(self) -> None: ...
    def run(self, control_fd: int, /) -> None: ...
    def simulate(
        self, arrivals: Sequence[tuple[int, int, bytes]], until_ns: int, prompt: bool = True
    ) -> list[tuple[int, int, bytes]]: ...
