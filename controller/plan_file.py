"""The plan file: a pickled `Plan` that a run's parent process writes for its controller, and the controller keeps."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

from helsewan.common.errors import InputError, Problem
from helsewan.common.files import replace_file
from helsewan.policies.plan import Plan


def read_plan(path: Path) -> Plan:
    """The plan from the parent's pickle.

    Raises InputError if others could have written it (a pickle can run code), or if it is no plan."""
    status = path.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise InputError(Problem("--plan", str(path), "is not this user's alone", "chmod 600"))
    with path.open("rb") as file:
        plan = pickle.load(file)
    if not isinstance(plan, Plan):
        raise InputError(Problem("--plan", str(path), "holds no plan"))
    return plan


def write_plan(path: Path, plan: Plan) -> None:
    """Puts a plan in the place of the one at ``path``, as `replace_file` does."""
    replace_file(path, pickle.dumps(plan))
