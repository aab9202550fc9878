"""The layout of the code: which package may import which, no import circles, and how large files and folders may be."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import networkx as nx
import pytest

ROOT = Path(__file__).parents[2]
MAX_LINES = 400
MAX_MODULES = 16  # in one folder, its __init__ not counted

MAY_IMPORT: dict[str, set[str]] = {
    "common": set(),
    "topology": {"common"},
    "policies": {"common", "topology"},
    "controller": {"common", "topology", "policies"},
    "verification": {"common", "topology", "policies", "controller"},
    "emulation": {"common", "topology"},
}
MAY_IMPORT["lab"] = set(MAY_IMPORT)
MAY_IMPORT["scenarios"] = set(MAY_IMPORT)
MAY_IMPORT["testing"] = set(MAY_IMPORT)
MAY_IMPORT["cli"] = set(MAY_IMPORT) - {"testing"}
FRAMEWORKS = {"os_ken", "ryu"}
FRAMEWORK_DOOR = PurePosixPath("controller/framework.py")
OUTSIDE = {"tests", "benchmarks"}  # no package may know of them


def imported_modules(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every absolute import of a module with its line, those by name (``import_module("x.y")``) included.

    Relative imports cannot leave their package and are passed over.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module="helsewan", names=names, level=0):
                yield from ((node.lineno, f"helsewan.{alias.name}") for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield node.lineno, module
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield node.lineno, module


def violations(path: PurePosixPath, source: str) -> list[str]:
    """What in ``source``, a module of a package at ``path``, breaks the import directions."""
    package = path.parts[0]
    above = set(MAY_IMPORT) - MAY_IMPORT[package] - {package}
    forbidden = {f"helsewan.{name}" for name in above} | OUTSIDE
    if path != FRAMEWORK_DOOR:
        forbidden |= FRAMEWORKS
    return [
        f"{path}:{line}: imports {module}"
        for line, module in imported_modules(ast.parse(source, filename=str(path)))
        if any(f"{module}.".startswith(f"{name}.") for name in forbidden)
    ] + bare_imports(path, source)


def bare_imports(path: PurePosixPath, source: str) -> list[str]:
    """Imports of ``topology`` where ``helsewan.topology`` is meant: they would load every module a second time."""
    return [
        f"{path}:{line}: imports {module}, not helsewan.{module}"
        for line, module in imported_modules(ast.parse(source, filename=str(path)))
        if module.split(".")[0] in MAY_IMPORT
    ]


def module_name(path: PurePosixPath) -> str:
    """``helsewan.topology.model`` for ``topology/model.py``; a folder's ``__init__`` has the folder's name."""
    parts = path.with_suffix("").parts
    return ".".join(("helsewan", *(parts[:-1] if parts[-1] == "__init__" else parts)))


def import_graph(sources: Mapping[PurePosixPath, str]) -> nx.DiGraph:
    """Modules and what each imports of the others, also late, for type checking only, or relative to its own folder.

    ``from folder import name`` imports the module ``folder.name`` where there is one, else the folder's ``__init__``.
    """
    known = {module_name(path) for path in sources}
    graph = nx.DiGraph()
    graph.add_nodes_from(known)
    for path, source in sources.items():
        own = module_name(path)
        folder = own if path.name == "__init__.py" else own.rpartition(".")[0]
        for node in ast.walk(ast.parse(source, filename=str(path))):
            targets: list[str] = []
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                above = folder.split(".")[: len(folder.split(".")) + 1 - node.level] if node.level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                targets = [full if (full := f"{base}.{alias.name}") in known else base for alias in node.names]
            graph.add_edges_from((own, target) for target in targets if target in known and target != own)
    return graph


def circles(sources: Mapping[PurePosixPath, str]) -> list[list[str]]:
    """The sets of modules that import one another, directly or through others."""
    parts = nx.strongly_connected_components(import_graph(sources))
    return sorted(sorted(part) for part in parts if len(part) > 1)


def python_files(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def test_every_package_has_its_place() -> None:
    packages = {init.parent.name for init in ROOT.glob("*/__init__.py")} - OUTSIDE
    assert packages == set(MAY_IMPORT)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way(package: str) -> None:
    files = python_files(package)
    assert files
    found = [
        violation
        for file in files
        for violation in violations(PurePosixPath(file.relative_to(ROOT)), file.read_text(encoding="utf-8"))
    ]
    assert found == []


def main_imports(path: PurePosixPath, source: str) -> list[str]:
    """Imports of a process's ``main`` module: what others need of it belongs in a module of its own."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source, filename=str(path))):
        match node:
            case ast.Import(names=names):
                found += [(node.lineno, alias.name) for alias in names]
            case ast.ImportFrom(module=str(module), names=names, level=0) if module.split(".")[-1] == "main":
                found.append((node.lineno, module))
            case ast.ImportFrom(module=str(module), names=names):
                found += [(node.lineno, f"{module}.{alias.name}") for alias in names]
    return [
        f"{path}:{line}: imports {name}"
        for line, name in found
        if name.startswith("helsewan.") and name.endswith(".main")
    ]


def test_no_package_imports_a_main_module() -> None:
    files = [file for file in python_files(*MAY_IMPORT) if file.name != "__main__.py"]
    assert [
        found
        for file in files
        for found in main_imports(PurePosixPath(file.relative_to(ROOT)), file.read_text("utf-8"))
    ] == []


@pytest.mark.parametrize(
    "source",
    [
        "from helsewan.controller.main import read_plan",
        "import helsewan.controller.main",
        "from helsewan.controller import main",
        "from helsewan.controller.main import main",
    ],
)
def test_an_import_of_a_main_module_is_found(source: str) -> None:
    assert len(main_imports(PurePosixPath("lab/emulation.py"), source)) == 1


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_modules_import_in_no_circle(package: str) -> None:
    files = {PurePosixPath(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in python_files(package)}
    assert circles(files) == []


def test_a_circle_of_imports_is_found() -> None:
    sources = {
        PurePosixPath("lab/__init__.py"): "",
        PurePosixPath("lab/a.py"): "from helsewan.lab import b",
        PurePosixPath("lab/b.py"): "if TYPE_CHECKING:\n    from helsewan.lab.c import anything",
        PurePosixPath("lab/c.py"): "def late():\n    from . import a",
        PurePosixPath("lab/d.py"): "import helsewan.lab.a",
    }
    assert circles(sources) == [["helsewan.lab.a", "helsewan.lab.b", "helsewan.lab.c"]]
    sources[PurePosixPath("lab/c.py")] = "import json"
    assert circles(sources) == []


def test_folders_stay_small() -> None:
    sizes = Counter(str(file.parent.relative_to(ROOT)) for file in python_files(*MAY_IMPORT) if file.stem != "__init__")
    assert {folder: size for folder, size in sizes.items() if size > MAX_MODULES} == {}


def test_every_folder_says_what_is_in_it() -> None:
    folders = {file.parent for file in python_files(*MAY_IMPORT)}
    inits = [folder / "__init__.py" for folder in folders]
    assert [str(init) for init in inits if not init.exists()] == []
    assert [str(init) for init in inits if not ast.get_docstring(ast.parse(init.read_text(encoding="utf-8")))] == []


def test_files_stay_short() -> None:
    sources = python_files(*MAY_IMPORT, *OUTSIDE) + [
        file for package in MAY_IMPORT for file in (ROOT / package).rglob("*.[ch]")
    ]
    lengths = {str(file.relative_to(ROOT)): len(file.read_bytes().splitlines()) for file in sources}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_tests_and_benchmarks_import_by_the_full_name() -> None:
    files = python_files(*OUTSIDE)
    assert files
    assert [found for file in files for found in bare_imports(PurePosixPath(file.name), file.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("topology/model.py", "import helsewan.policies"),
        ("topology/mininet_build.py", "from helsewan.emulation.nodes import nodes"),
        ("lab/emulation.py", "from helsewan.scenarios.run import run"),
        ("scenarios/run/run.py", "from helsewan.cli import options"),
        ("common/units.py", "from helsewan.topology import model"),
        ("topology/model.py", "import helsewan.policies.plan as plan"),
        ("topology/model.py", "from helsewan.emulation import world"),
        ("policies/compile.py", "from helsewan.controller.openflow.entries import Rule"),
        ("controller/app.py", "def late():\n    from helsewan.emulation.sandbox.sandbox import World"),
        ("emulation/sandbox/sandbox.py", "from helsewan.policies.plan import Plan"),
        ("emulation/sandbox/sandbox.py", "if TYPE_CHECKING:\n    from helsewan.policies.plan import Plan"),
        ("emulation/sandbox/sandbox.py", "import importlib\nimportlib.import_module('helsewan.scenarios.run.run')"),
        ("scenarios/run/run.py", "from tests.helpers import anything"),
        ("scenarios/run/run.py", "import os_ken.ofproto"),
        ("controller/app.py", "from os_ken.base import app_manager"),
        ("controller/app.py", "__import__('ryu.base')"),
        ("policies/compile.py", "from helsewan import controller"),
        ("policies/compile.py", "from topology.model import Network"),
        ("topology/model.py", "import topology.units"),
    ],
)
def test_a_wrong_import_is_found(path: str, source: str) -> None:
    assert len(violations(PurePosixPath(path), source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("policies/compile.py", "from helsewan.topology.model import Network"),
        ("controller/framework.py", "from os_ken.base import app_manager"),
        ("controller/app.py", "from . import framework"),
        (
            "scenarios/run/run.py",
            "import helsewan.topology, helsewan.policies, helsewan.controller, helsewan.emulation",
        ),
        ("emulation/sandbox/sandbox.py", "import topology_of_another_project"),
    ],
)
def test_a_right_import_passes(path: str, source: str) -> None:
    assert violations(PurePosixPath(path), source) == []
