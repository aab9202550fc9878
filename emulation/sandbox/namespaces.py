"""Network namespaces, mounts and TAP devices: thin wrappers of the system calls. Only module that makes these calls.

A namespace is held as a file descriptor. It is neither mounted nor named, so the kernel removes it when the last
descriptor is closed, also after a crash.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_FS, _CLONE_NEWNS = 0x200, 0x20000
_CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
_PR_SET_CHILD_SUBREAPER = 36
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND = 1 << 1, 1 << 2, 1 << 3, 1 << 12
_MS_REC, _MS_PRIVATE = 1 << 14, 1 << 18
_MNT_DETACH = 2
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432  # on all processors; flag 1 of the first and the last: close on exec
_FSCONFIG_CMD_CREATE = 6
_TUNSETIFF = 0x400454CA
_TUNSETPERSIST = 0x400454CB
_IFF_TAP_NO_PI = 0x0002 | 0x1000
_LIBC = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


@contextmanager
def _excursion() -> Iterator[None]:
    """Restore the calling thread's current network namespace on exit."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        _check(_LIBC.setns(home, _CLONE_NEWNET), "return from network namespace")
        os.close(home)


@contextmanager
def entered(fd: int) -> Iterator[None]:
    """Move the calling thread into the network namespace of descriptor ``fd``, and back on exit."""
    with _excursion():
        _check(_LIBC.setns(fd, _CLONE_NEWNET), "enter network namespace")
        yield


class Namespace:
    """A network namespace. Sockets and processes created inside it stay in it, so one process can hold sockets in
    every site."""

    def __init__(self) -> None:
        """Create a new, empty namespace. Raises OSError without the privilege to do so."""
        with _excursion():
            _check(_LIBC.unshare(_CLONE_NEWNET), "unshare network namespace")
            self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Move the calling thread into the namespace, and back on exit."""
        with entered(self.fd):
            yield

    @property
    def path(self) -> str:
        """A path by which other processes of the sandbox can enter the namespace (``nsenter --net=PATH``)."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Create a socket in this namespace."""
        with self.entered():
            return socket.socket(family, kind, protocol)

    def sysctl(self, values: dict[str, int]) -> None:
        """Set ``net.*`` sysctls of this namespace; keys are paths below /proc/sys/net."""
        with self.entered():
            for key, value in values.items():
                _sysctls.write(f"sys/net/{key}", str(value))

    def close(self) -> None:
        """Close the descriptor; the kernel removes the namespace when nothing else refers to it."""
        os.close(self.fd)


class _Sysctls:
    """Writes sysctls in a /proc of this process alone, which is replaced now and then.

    The kernel looks for a namespace's /proc/sys/net among those of all namespaces in which that /proc was used, one by
    one: 1 ms for the 2,500th."""

    _NAMESPACES = 64  # as many calls, rather, before the next one

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._proc, self._calls = -1, 0

    def write(self, path: str, value: str) -> None:
        """Write ``value`` to the file ``path`` below /proc, as seen from the calling thread's namespace."""
        with self._lock:
            if self._calls % self._NAMESPACES == 0:
                if self._proc >= 0:
                    os.close(self._proc)
                self._proc = _proc_alone()
            self._calls += 1
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._proc)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)


_sysctls = _Sysctls()


def _proc_alone() -> int:
    """A descriptor of a new /proc, mounted nowhere; of the usual one where that is not permitted (a container, an old
    kernel)."""
    context = _LIBC.syscall(_FSOPEN, b"proc", 1)
    if context >= 0:
        try:
            if _LIBC.syscall(_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0) == 0:
                mounted = _LIBC.syscall(_FSMOUNT, context, 1, _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
                if mounted >= 0:
                    return int(mounted)
        finally:
            os.close(context)
    return os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def open_tap(namespace: Namespace, name: str) -> int:
    """Create TAP interface ``name`` inside ``namespace``; returns the descriptor that its frames are read from.

    The interface is persistent and is removed with its namespace: closing TAPs one by one takes about 20 ms each,
    with their namespaces the kernel removes them in batches.

    No offloads are enabled (TUNSETOFFLOAD stays 0), so frames are at most MTU-sized and have checksums.
    """
    with namespace.entered():
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP_NO_PI))
            fcntl.ioctl(fd, _TUNSETPERSIST, 1)
        except OSError:
            os.close(fd)
            raise
    return fd


def unshare(user: bool, pid: bool) -> None:
    """Move the calling thread into new network and mount namespaces; with ``pid`` also its future children into a new
    pid namespace. With ``user``, which a process with several threads cannot have, also into a new user namespace, in
    which it is root. Raises OSError where that is not permitted."""
    uid, gid = os.geteuid(), os.getegid()
    flags = _CLONE_NEWNET | _CLONE_NEWNS | (_CLONE_NEWPID if pid else 0) | (_CLONE_NEWUSER if user else 0)
    _check(_LIBC.unshare(flags), "unshare")
    if user:
        Path("/proc/thread-self/setgroups").write_text("deny")
        Path("/proc/thread-self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/thread-self/gid_map").write_text(f"0 {gid} 1")


def mount_namespace() -> str:
    """Identifies the calling thread's mount namespace."""
    return os.readlink("/proc/thread-self/ns/mnt")


def adopt_orphans() -> None:
    """Make this process the parent of all its descendants whose own parent ends (prctl(2))."""
    _check(_LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "become a subreaper")


def mount_proc() -> None:
    """Mount a /proc of the calling process's own pid namespace, in its mount namespace."""
    _make_mounts_private()
    _check(_LIBC.mount(b"proc", b"/proc", b"proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None), "mount /proc")


def mount_over(source: Path, target: Path) -> None:
    """Show file ``source`` in place of file ``target`` (a bind mount) in the calling thread's mount namespace."""
    mounted = _LIBC.mount(os.fsencode(source), os.fsencode(target), None, _MS_BIND, None)
    _check(mounted, f"mount {source} on {target}")


def unmount(target: Path) -> None:
    """Remove the topmost mount on ``target``, once nobody uses it any more. Raises OSError."""
    _check(_LIBC.umount2(os.fsencode(target), _MNT_DETACH), f"unmount {target}")


def mount_tmpfs(target: Path) -> None:
    """Mount a private tmpfs (mode 0700) on ``target`` in the calling process's mount namespace."""
    _make_mounts_private()
    mount_empty(target, mode=0o700)


def _make_mounts_private() -> None:
    _check(_LIBC.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "make mounts private")


def mount_empty(target: Path, mode: int) -> None:
    """Mount an empty tmpfs on ``target`` in the calling thread's mount namespace, whose mounts are private already."""
    flags, options = _MS_NOSUID | _MS_NODEV, f"mode={mode:o}".encode()
    _check(_LIBC.mount(b"tmpfs", os.fsencode(target), b"tmpfs", flags, options), f"mount tmpfs on {target}")


def unshare_root() -> None:
    """Let the calling thread, and no other of its process, enter mount namespaces from now on. Its working directory,
    root and umask are its own from then on, too."""
    _check(_LIBC.unshare(_CLONE_FS), "unshare root directory")


def new_mounts(prepare: Callable[[], None]) -> int:
    """A mount namespace with copies of the present mounts, changed by ``prepare``, which is called within it. Returns
    its descriptor. Only for a thread that has called `unshare_root`."""
    with mounts_entered(None):
        _check(_LIBC.unshare(_CLONE_NEWNS), "unshare mount namespace")
        _make_mounts_private()
        prepare()
        return os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def mounts_entered(fd: int | None) -> Iterator[None]:
    """Move the calling thread into the mount namespace of descriptor ``fd``, if any, and back on exit, into the root
    directory. Only for a thread that has called `unshare_root`."""
    home = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if fd is not None:
            _check(_LIBC.setns(fd, _CLONE_NEWNS), "enter mount namespace")
        yield
    finally:
        _check(_LIBC.setns(home, _CLONE_NEWNS), "return from mount namespace")
        os.close(home)
