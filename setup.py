"""Builds the C extensions: each from all C files of its folder. The rest stands in pyproject.toml.

``HELSEWAN_SANITIZE=1`` builds them with the address and undefined-behaviour sanitizers.
"""

import os
from pathlib import Path

from setuptools import Extension, setup

FOLDERS = {
    "emulation._linkengine": "emulation/linkengine",
    "scenarios._flows": "scenarios/flowengine",
}
WARNINGS = ["-Wall", "-Wextra", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g"]


def extension(name: str, folder: str) -> Extension:
    """The extension made of the folder's C files."""
    sanitize = SANITIZERS if os.environ.get("HELSEWAN_SANITIZE") == "1" else []
    return Extension(
        name,
        sources=sorted(str(path) for path in Path(folder).glob("*.c")),
        depends=sorted(str(path) for path in Path(folder).glob("*.h")),
        extra_compile_args=["-O2", "-std=gnu11", "-ffp-contract=off", *WARNINGS, *sanitize],
        extra_link_args=sanitize,
    )


setup(ext_modules=[extension(name, folder) for name, folder in FOLDERS.items() if list(Path(folder).glob("*.c"))])
