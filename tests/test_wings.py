"""The arrows between the wings, read from the imports of every file."""

import ast
import graphlib
import re
from pathlib import Path

import pytest

from tests.servers import ROOT

pytestmark = pytest.mark.no_database

# What each wing may import beside itself, the version of the package, and libraries.
ARROWS = {
    "app": {"api", "cli", "database", "settings"},
    "gunicorn.conf": {"server", "settings"},
    "server": {"api", "inbox", "database", "schemas", "settings", "tools"},
    "cli": {"server", "files", "inbox", "database", "schemas", "settings"},
    "api": {"inbox", "database", "schemas", "settings"},
    "files": {"inbox", "database", "schemas", "settings"},
    "inbox": {"database", "schemas", "settings"},
    "database": {"schemas", "settings"},
    "settings": {"database", "schemas"},
    "schemas": set(),
    "__init__": set(),
}
# Who alone may import a library.
LIBRARIES = {
    "flask": {"app", "api", "cli"},
    "gunicorn": {"gunicorn.conf", "server"},
    "psycopg": {"database"},
    "psycopg_pool": {"database"},
}
FILES = [
    path.relative_to(ROOT)
    for path in [
        *ROOT.glob("*.py"),
        *(ROOT / "conversations").rglob("*.py"),
        *(ROOT / "schemas").rglob("*.py"),
    ]
]


def wing_of(parts: tuple[str, ...]) -> str:
    """Return the wing that a module belongs to, from the parts of its name."""
    return parts[1] if parts[0] == "conversations" and len(parts) > 1 else parts[0]


def imported_modules(path: Path) -> set[tuple[str, ...]]:
    """Return what a file imports, wherever in the file: the parts of each module's name."""
    modules = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            modules |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports {node.module} relatively"
            parts = tuple(node.module.split("."))
            # A name may be a module of the package.
            modules |= {(*parts, alias.name) for alias in node.names}
    return modules


def module_file(parts: tuple[str, ...]) -> Path | None:
    """Return the file of a module of ours; of a name in a module, that module's file."""
    while parts:
        for path in (Path(*parts).with_suffix(".py"), Path(*parts, "__init__.py")):
            if path in FILES:
                return path
        parts = parts[:-1]
    return None


IMPORTS = {path: imported_modules(path) for path in FILES}


def own_imports(path: Path) -> set[Path]:
    return {file for parts in IMPORTS[path] if (file := module_file(parts)) and file != path}


def test_every_file_belongs_to_a_wing():
    wings = {wing_of(path.with_suffix("").parts) for path in FILES}
    assert wings == set(ARROWS)


def test_a_file_imports_only_what_its_wing_may(subtests):
    for path in FILES:
        with subtests.test(path=path):
            wing = wing_of(path.with_suffix("").parts)
            imported = {wing_of(file.with_suffix("").parts) for file in own_imports(path)}
            assert imported - {wing, "__init__"} <= ARROWS[wing]


def test_a_library_is_imported_only_by_the_wings_that_know_it(subtests):
    for library, knowing in LIBRARIES.items():
        with subtests.test(library=library):
            users = {
                wing_of(path.with_suffix("").parts)
                for path in FILES
                if library in {parts[0] for parts in IMPORTS[path]}
            }
            assert users == knowing


def test_no_imports_go_in_a_circle():
    order = graphlib.TopologicalSorter({path: own_imports(path) for path in FILES})
    assert set(order.static_order()) == set(FILES)


def test_no_test_file_imports_another():
    imports = re.compile(r"^from tests[.\w]*\.test_|^from tests[.\w]* import test_", re.MULTILINE)
    files = (ROOT / "tests").rglob("test_*.py")
    assert [str(path) for path in files if imports.search(path.read_text())] == []
