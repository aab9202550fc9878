"""Builds the fuzzers of the engines and runs them for a while (libFuzzer, address and undefined-behaviour
sanitizers). ``make fuzz SECONDS=600 SEED=7`` runs this file; ``make test`` runs each fuzzer for a moment.

The corpus in ``corpus/`` is read, never written: new inputs are kept in ``build/fuzz``, and so is one that fails.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LINK_ENGINE = ROOT / "emulation" / "linkengine"
FLOW_ENGINE = ROOT / "lab" / "flows" / "flowengine"
CORPUS = HERE / "corpus"
BUILD = ROOT / "build" / "fuzz"
FUZZERS = {  # by name: the folder of the code it tries, and its own files
    "classify": (LINK_ENGINE, ("fuzz_classify.c", "fuzz.c")),
    "datagrams": (FLOW_ENGINE, ("fuzz_datagrams.c",)),
    "frames": (LINK_ENGINE, ("fuzz_frames.c", "fuzz.c")),
    "rings": (LINK_ENGINE, ("fuzz_rings.c", "fuzz.c")),
    "script": (LINK_ENGINE, ("fuzz_script.c", "fuzz.c")),
}
LONGEST_INPUT = 2048  # bytes: some ten settings and a hundred operations
SANITIZERS = ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
FLAGS = ["-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", *SANITIZERS]


def sources(folder: Path) -> list[Path]:
    """An engine's C files that know no Python."""
    return [path for path in sorted(folder.glob("*.c")) if not _needs_python(path.read_text())]


def _needs_python(text: str) -> bool:
    return any(header in text for header in ("Python.h", '"module.h"', '"py_convert.h"'))


def build(name: str, folder: Path = BUILD) -> Path:
    """The fuzzer's program. Raises RuntimeError with the compiler's words when it cannot be built."""
    if shutil.which("clang") is None:
        raise RuntimeError("clang is missing, the fuzzers' compiler (hint: tools/setup fuzz)")
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    engine, own = FUZZERS[name]
    files = [*(HERE / file for file in own), *sources(engine)]
    command = ["clang", *FLAGS, f"-I{engine}", f"-I{HERE}", *map(str, files), "-lm", "-o", str(program)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"clang could not build the fuzzer {name}:\n{result.stderr}")
    return program


def run(program: Path, seconds: int, seed: int, kept: Path) -> subprocess.CompletedProcess[str]:
    """Fuzz for ``seconds`` from the committed corpus on. New inputs go to ``kept``; one that fails to the program's
    folder."""
    kept.mkdir(parents=True, exist_ok=True)
    folders = [str(kept), str(CORPUS / program.name)]  # libFuzzer writes to the first
    options = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={LONGEST_INPUT}"]
    options += [f"-artifact_prefix={program.parent}/{program.name}-"]
    return subprocess.run([str(program), *options, *folders], capture_output=True, text=True)


def main() -> int:
    """Fuzz each in turn; 0 when nothing was found."""
    parser = argparse.ArgumentParser(description="Fuzz the engines.")
    parser.add_argument("--seconds", type=int, default=60, help="for all fuzzers together")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 2**31))
    arguments = parser.parse_args()
    print(f"seed: {arguments.seed} (repeat with SEED={arguments.seed})", flush=True)
    failed = False
    for name in FUZZERS:
        result = run(build(name), max(1, arguments.seconds // len(FUZZERS)), arguments.seed, BUILD / f"kept-{name}")
        failed |= result.returncode != 0
        print(f"{name}: {'found something:' if result.returncode else 'nothing found;'} {summary(result)}", flush=True)
    return int(failed)


def summary(result: subprocess.CompletedProcess[str]) -> str:
    """What the fuzzer said at its end: what it found, or how much it tried."""
    lines = result.stderr.splitlines()
    if result.returncode:
        return "\n".join(lines[-60:])
    return next((line for line in lines if line.startswith("Done")), "")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as error:
        sys.exit(str(error))
