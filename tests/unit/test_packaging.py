"""What a user installs: versions that were tested, extensions that build or say in one line what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return found


def constraints() -> dict[str, str]:
    """The tested version of each package."""
    lines = (line.partition("#")[0].strip() for line in (REPOSITORY / "constraints.txt").read_text().splitlines())
    requirements = [Requirement(line) for line in lines if line]
    return {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in requirements}


def test_every_dependency_has_a_tested_version_that_is_allowed() -> None:
    tested = constraints()
    for requirement in map(Requirement, project()["dependencies"]):
        if requirement.name == "setuptools":  # the virtual environment's own
            continue
        assert tested[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_the_promised_pythons_are_the_ones_named() -> None:
    allowed = SpecifierSet(project()["requires-python"])
    prefix = "Programming Language :: Python :: 3."
    named = [each.removeprefix(prefix) for each in project()["classifiers"] if each.startswith(prefix)]
    assert named[0] == "11" and all(f"3.{minor}" in allowed for minor in named) and "3.10" not in allowed
    assert "Python 3.11 or newer" in (REPOSITORY / "README.md").read_text()


def build(target: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Build the extensions elsewhere; as a user's build does, without what developers ask for."""
    argv = [sys.executable, "setup.py", "-v", "build_ext", "--build-lib", str(target), "--build-temp", str(target)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HELSEWAN_")}
    return subprocess.run(argv, cwd=REPOSITORY, env=kept | env, capture_output=True, text=True, check=False)


def test_a_missing_compiler_is_named_with_its_cure(tmp_path: Path) -> None:
    done = build(tmp_path, CC="no-such-cc")
    assert done.returncode != 0 and "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "'no-such-cc' is not on PATH" in last and "apt-get install gcc libc6-dev python3" in last


def test_a_warning_fails_no_users_build(tmp_path: Path) -> None:
    """The compiler here is one that says how it is called, and compiles nothing."""
    compiler = tmp_path / "cc"
    compiler.write_text('#!/bin/sh\necho "called with: $*"\nexit 1\n')
    compiler.chmod(0o755)
    done = build(tmp_path / "user", CC=str(compiler))
    assert "-Wall" in done.stdout + done.stderr and "-Werror" not in done.stdout + done.stderr
    strict = build(tmp_path / "developer", CC=str(compiler), HELSEWAN_WERROR="1")
    assert "-Werror" in strict.stdout + strict.stderr
