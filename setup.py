"""Names the packages and builds the C extensions. The rest stands in pyproject.toml.

An extension is made of all C files of its folder.

The folders of this checkout are the packages ``helsewan.*`` (``package_dir`` maps them), so that a wheel installs one
top-level name. ``HELSEWAN_SANITIZE=1`` builds the extensions with the address and undefined-behaviour sanitizers,
``HELSEWAN_WERROR=1`` makes a compiler's warning an error, as developers want it; a user's compiler may be newer
and warn of more.
"""

import os
import shutil
import sysconfig
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import PlatformError

TOP_PACKAGES = (
    "common",
    "topology",
    "policies",
    "controller",
    "verification",
    "emulation",
    "lab",
    "scenarios",
    "testing",
    "cli",
)
PRELOADED = "helsewan.emulation._dpdk_buffers"  # never imported: a library for another program
EXTENSION_FOLDERS = {
    "helsewan.emulation._linkengine": "emulation/linkengine",
    "helsewan.lab.flows._flows": "lab/flows/flowengine",
    PRELOADED: "emulation/routers/preload",
}
WARNINGS = ["-Wall", "-Wextra"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g"]


def extension(name: str, folder: str) -> Extension:
    """The extension made of the folder's C files."""
    sanitize = SANITIZERS if os.environ.get("HELSEWAN_SANITIZE") == "1" and name != PRELOADED else []
    strict = ["-Werror"] if os.environ.get("HELSEWAN_WERROR") == "1" else []
    return Extension(
        name,
        sources=sorted(str(path) for path in Path(folder).glob("*.c")),
        depends=sorted(str(path) for path in Path(folder).glob("*.h")),
        extra_compile_args=["-O2", "-std=gnu11", "-ffp-contract=off", *WARNINGS, *strict, *sanitize],
        extra_link_args=sanitize,
    )


class BuildExtensions(build_ext):
    """Says what building needs and is not there, where a compiler would fail with words of its own."""

    def get_export_symbols(self, ext: Extension) -> list[str]:
        """What a linker is told to export: of a library that is not a Python module, no initialisation."""
        return [] if ext.name == PRELOADED else super().get_export_symbols(ext)

    def run(self) -> None:
        """Build. Raises PlatformError, which pip and setuptools show in one line."""
        compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
        version = sysconfig.get_python_version()
        missing = []
        if not shutil.which(compiler):
            missing.append(f"no C compiler ({compiler!r} is not on PATH)")
        if not Path(sysconfig.get_path("include"), "Python.h").exists():
            missing.append(f"no C headers of Python {version}")
        if missing:
            hint = f"on Debian and Ubuntu: apt-get install gcc libc6-dev python{version}-dev"
            raise PlatformError(f"helsewan's C extensions cannot be built: {' and '.join(missing)} (hint: {hint})")
        super().run()


setup(
    cmdclass={"build_ext": BuildExtensions},
    package_dir={f"helsewan.{package}": package for package in TOP_PACKAGES},
    packages=[
        f"helsewan.{package}"
        for package in find_packages(include=[pattern for name in TOP_PACKAGES for pattern in (name, f"{name}.*")])
    ],
    ext_modules=[extension(name, folder) for name, folder in EXTENSION_FOLDERS.items()],
)
