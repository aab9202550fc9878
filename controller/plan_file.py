"""The plan file: a pickled `Plan`. The parent process of a run writes it; the controller replaces it on each change."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

from helsewan.common.errors import InputError, Problem
from helsewan.common.files import replace_file
from helsewan.policies.plan import Plan


def read_plan(path: Path) -> Plan:
    """Reads the plan file at ``path``.

    Raises InputError if other users could have written it (unpickling can run code) or if it contains no plan."""
    status = path.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise InputError(Problem("--plan", str(path), "is not this user's alone", "chmod 600"))
    with path.open("rb") as file:
        plan = pickle.load(file)
    if not isinstance(plan, Plan):
        raise InputError(Problem("--plan", str(path), "holds no plan"))
    return plan


def write_plan(path: Path, plan: Plan) -> None:
    """Replaces the plan file at ``path`` atomically (see `replace_file`)."""
    replace_file(path, pickle.dumps(plan))
