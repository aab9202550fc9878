"""Names of sites, and of hosts on their LANs, in /etc/hosts, for every process in a sandbox.

All networks of a sandbox share one file, mounted over the machine's own in the sandbox's mount namespace.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from helsewan.emulation.sandbox.namespaces import mount_namespace, mount_over, unmount
from helsewan.topology.model import Site

HOSTS = Path("/etc/hosts")
_HEADER = "# sites of helsewan's network"
_LOCK = threading.Lock()
_PUBLISHED: dict[str, list[Sequence[str]]] = {}  # by mount namespace; the machine's own lines first


def hosts_lines(sites: Iterable[Site]) -> list[str]:
    """The lines of hosts(5) for sites: both addresses, named by the site's id."""
    return [f"{address} {site.id}" for site in sites for address in (site.address4, site.address6)]


class SiteNames:
    """The names of one network's sites, from ``publish`` to ``withdraw``. Where networks have sites of the same name,
    the network that was published first is resolved first."""

    def __init__(self, sites: Iterable[Site], folder: Path) -> None:
        """``folder`` is a directory of the sandbox, where the file is written."""
        self._lines, self._file = hosts_lines(sites), folder / "hosts"
        self._sandbox = ""

    def publish(self) -> None:
        """Name the sites for the calling thread's sandbox. Does nothing on a machine without /etc/hosts. Raises
        OSError."""
        if not HOSTS.exists():
            return
        with _LOCK:
            self._sandbox = mount_namespace()
            first = self._sandbox not in _PUBLISHED
            own = _PUBLISHED.setdefault(self._sandbox, [[*HOSTS.read_text("utf-8", "replace").splitlines(), _HEADER]])
            own.append(self._lines)
            self._write()
            if first:
                mount_over(self._file, HOSTS.resolve())

    def add(self, lines: Iterable[str]) -> None:
        """Name hosts, too, in lines of hosts(5); nothing where the names are not published."""
        with _LOCK:
            self._lines += lines
            if any(each is self._lines for each in _PUBLISHED.get(self._sandbox, [])):
                self._write()

    def withdraw(self) -> None:
        """Remove the names. Idempotent."""
        with _LOCK:
            published = _PUBLISHED.get(self._sandbox, [])
            if any(lines is self._lines for lines in published):
                published[:] = [lines for lines in published if lines is not self._lines]
                self._write()
                if len(published) == 1 and mount_namespace() == self._sandbox:  # nobody's: the machine's own again
                    del _PUBLISHED[self._sandbox]
                    unmount(HOSTS.resolve())

    def _write(self) -> None:
        """Write the file in place: it is mounted."""
        lines = [line for lines in _PUBLISHED[self._sandbox] for line in lines]
        self._file.write_text("\n".join([*lines, ""]), "utf-8")
        self._file.chmod(0o644)
