"""The device's side of a port's virtqueues (Virtio 1.1, 2.6), as the vhost library of a switch has it, over the memory
that it shares with the link engine."""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from helsewan.emulation._linkengine import vring_layout

HEADER = bytes(12)  # struct virtio_net_hdr
TO_ENGINE, FROM_ENGINE = 0, 1  # ring numbers
NO_INTERRUPT = 1  # in the flags of an available ring
DESC = np.dtype([("address", "<u8"), ("length", "<u4"), ("flags", "<u2"), ("next", "<u2")])
USED = np.dtype([("id", "<u4"), ("length", "<u4")])


def ring_memory(entries: int, seals: int = fcntl.F_SEAL_SHRINK) -> int:
    """A memfd for the rings of a port."""
    fd = os.memfd_create("rings", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, vring_layout(entries)[0])
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


class DeviceRing:
    """One ring. Fields are stored whole, as numpy stores a number: a driver never sees half of one."""

    def __init__(self, memory: mmap.mmap, places: tuple[int, int, int], entries: int) -> None:
        desc, avail, used = places
        self.entries = entries
        self.memory = memory
        self.desc: npt.NDArray[Any] = np.frombuffer(memory, DESC, entries, desc)
        self.avail: npt.NDArray[np.uint16] = np.frombuffer(memory, "<u2", 2 + entries, avail)  # flags, idx, ring
        self.used_head: npt.NDArray[np.uint16] = np.frombuffer(memory, "<u2", 2, used)  # flags, idx
        self.used: npt.NDArray[Any] = np.frombuffer(memory, USED, entries, used + 4)
        self.taken = 0  # entries of the available ring, modulo 2^16

    @property
    def signals(self) -> bool:
        """Whether the driver wants to be told of used buffers."""
        return not self.avail[0] & NO_INTERRUPT

    @property
    def posted(self) -> int:
        """How many buffers the driver has posted that the device has not taken."""
        return (int(self.avail[1]) - self.taken) % 65536

    def take(self) -> int:
        """The next posted descriptor; there must be one."""
        assert self.posted
        number = int(self.avail[2 + self.taken % self.entries])
        self.taken = (self.taken + 1) % 65536
        return number

    def give(self, number: int, length: int) -> None:
        """Return a descriptor to the driver."""
        index = int(self.used_head[1])
        self.used[index % self.entries] = (number, length)
        self.used_head[1] = (index + 1) % 65536


class Device:
    """The device of one port."""

    def __init__(self, fd: int, entries: int, call: int) -> None:
        """``fd``: the port's memory; ``call``: the eventfd that the engine is told by."""
        _, to_engine, from_engine = vring_layout(entries)
        self.memory = mmap.mmap(fd, 0)
        self.rings = [DeviceRing(self.memory, places, entries) for places in (to_engine, from_engine)]
        self.call = call

    def reset(self) -> None:
        """Begin with the indices that the driver begins with."""
        for ring in self.rings:
            ring.taken = 0

    def put(self, *frames: bytes) -> int:
        """Put frames into buffers of the engine and tell it, if it wants to be told; returns how many found room."""
        ring = self.rings[TO_ENGINE]
        count = 0
        for frame in frames:
            if not ring.posted:
                break
            number = ring.take()
            address, room = int(ring.desc[number]["address"]), int(ring.desc[number]["length"])
            data = HEADER + frame
            assert len(data) <= room and ring.desc[number]["flags"] == 2  # to be written
            self.memory[address : address + len(data)] = data
            ring.give(number, len(data))
            count += 1
        if count and ring.signals:
            os.eventfd_write(self.call, 1)
        return count

    def get(self) -> list[bytes]:
        """The frames that the engine has sent since the last call."""
        ring = self.rings[FROM_ENGINE]
        frames = []
        while ring.posted:
            number = ring.take()
            address, length = int(ring.desc[number]["address"]), int(ring.desc[number]["length"])
            assert ring.desc[number]["flags"] == 0  # one buffer, to be read
            data = self.memory[address : address + length]
            assert data[: len(HEADER)] == HEADER
            frames.append(data[len(HEADER) :])
            ring.give(number, 0)
        return frames
