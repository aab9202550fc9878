"""Writes witness files: for each violation its packet as a capture and as text, and JSON for a replay."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

from helsewan.common.errors import InputError, Problem
from helsewan.common.files import write_file
from helsewan.common.ownership import create_directories
from helsewan.verification.findings import VerificationFinding
from helsewan.verification.reports.results import as_text, finding_json
from helsewan.verification.reports.witness import scapy_packet

FORMAT = "helsewan-witness/1"


def check_directory(directory: Path) -> None:
    """Raise InputError, before anything is created, where `make_directory` would fail."""
    try:
        if directory.exists() and any(directory.iterdir()):
            raise InputError(Problem("--witness", str(directory), "contains files", "name a new directory"))
        nearest = next(parent for parent in (directory, *directory.absolute().parents) if parent.exists())
        if not nearest.is_dir():
            raise InputError(Problem("--witness", str(nearest), "is no directory", "name a new directory"))
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise InputError(Problem("--witness", str(nearest), "cannot be written"))
    except OSError as error:
        raise InputError(Problem("--witness", str(directory), error.strerror or str(error))) from error


def make_directory(directory: Path) -> None:
    """Create a directory, unless it exists and is empty. Raises InputError where that fails, or where it contains
    files, which would be mixed up with witnesses."""
    check_directory(directory)
    try:
        create_directories(directory)
    except OSError as error:
        raise InputError(Problem("--witness", str(directory), error.strerror or str(error))) from error


def write_witnesses(directory: Path, violations: Sequence[VerificationFinding]) -> None:
    """Write ``001-leak.pcap``, ``.txt`` and ``.json`` and so on to a directory, see `make_directory`. Raises InputError
    where they cannot be written."""
    make_directory(directory)
    for number, finding in enumerate(violations, start=1):
        stem = directory / f"{number:03}-{finding.kind.value}"
        write_file("--witness", stem.with_suffix(".txt"), f"{as_text(finding)}\n".encode())
        if finding.packet is not None:
            write_file("--witness", stem.with_suffix(".pcap"), pcap(finding))
            data = {"format": FORMAT, **finding_json(finding)}
            write_file("--witness", stem.with_suffix(".json"), json.dumps(data, indent=2, ensure_ascii=False).encode())


def pcap(finding: VerificationFinding) -> bytes:
    """A capture of a violation's packet as it leaves the site; its time is 0, so that files are reproducible."""
    from scapy.utils import PcapWriter

    assert finding.packet is not None
    packet = scapy_packet(finding.packet)
    packet.time = 0
    file = io.BytesIO()
    PcapWriter(file, linktype=1, sync=True).write(packet)  # Ethernet
    return file.getvalue()
