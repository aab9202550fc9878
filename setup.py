"""Names the packages and builds the C extensions. The rest stands in pyproject.toml.

An extension is made of all C files of its folder.

The folders of this checkout are the packages ``helsewan.*`` (``package_dir`` maps them), so that a wheel installs one
top-level name. ``HELSEWAN_SANITIZE=1`` builds the extensions with the address and undefined-behaviour sanitizers.
"""

import os
from pathlib import Path

from setuptools import Extension, find_packages, setup

TOP_PACKAGES = ("common", "topology", "policies", "controller", "verification", "emulation", "lab", "scenarios", "cli")
EXTENSION_FOLDERS = {
    "helsewan.emulation._linkengine": "emulation/linkengine",
    "helsewan.lab.flows._flows": "lab/flows/flowengine",
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


setup(
    package_dir={f"helsewan.{package}": package for package in TOP_PACKAGES},
    packages=[
        f"helsewan.{package}"
        for package in find_packages(include=[pattern for name in TOP_PACKAGES for pattern in (name, f"{name}.*")])
    ],
    ext_modules=[extension(name, folder) for name, folder in EXTENSION_FOLDERS.items()],
)
