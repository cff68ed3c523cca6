"""The walls of the house, read off the source text: who may import whom."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from workers.methods import METHODS

ROOT = Path(__file__).resolve().parent.parent
PLAIN = ("workers/methods", "workers/protocol", "workers/walls")
METHOD_TESTS = "tests/training/methods/test_{}.py"
ROOMS = {
    "accounts": {"accounts"},
    "datasets": {"accounts", "datasets"},
    "basemodels": {"accounts", "basemodels"},
    "jobs": {"accounts", "datasets", "basemodels", "jobs"},
    "notices": {"accounts", "jobs", "notices"},
}


def files(*places: str) -> list[Path]:
    found = [
        path for place in places for path in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
    ]
    return [path for path in found if "migrations" not in path.parts]


def imports(path: Path) -> set[str]:
    """Every dotted module that a file imports, `from a import b` as a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def touches(path: Path, *packages: str) -> list[str]:
    return sorted(name for name in imports(path) if name.split(".")[0] in packages)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", files("workers"), ids=named)
def test_workers_never_see_the_site(path: Path) -> None:
    assert not touches(path, "django", "webapp", "launcher")


@pytest.mark.parametrize("path", files("webapp"), ids=named)
def test_the_site_never_sees_torch(path: Path) -> None:
    assert not touches(path, "torch", "transformers", "peft", "accelerate", "safetensors")


@pytest.mark.parametrize("path", files("webapp"), ids=named)
def test_of_workers_the_site_knows_the_protocol_and_the_methods(path: Path) -> None:
    allowed = ("workers.protocol", "workers.methods")
    assert all(name.startswith(allowed) or name == "workers" for name in touches(path, "workers"))


@pytest.mark.parametrize("path", files("workers"), ids=named)
def test_torch_stays_in_the_training_room(path: Path) -> None:
    if not named(path).startswith("workers/training/"):
        assert not touches(path, "torch", "transformers", "peft", "accelerate", "safetensors")


@pytest.mark.parametrize("path", files("workers/training"), ids=named)
def test_training_knows_neither_celery_nor_http(path: Path) -> None:
    assert not touches(path, "celery", "kombu", "redis", "httpx", "requests", "urllib", "http", "socket")


@pytest.mark.parametrize("path", files(*PLAIN), ids=named)
def test_the_plain_half_needs_the_standard_library_alone(path: Path) -> None:
    foreign = [name for name in imports(path) if name.split(".")[0] not in sys.stdlib_module_names | {"workers"}]
    assert not foreign


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_between_rooms_go_one_way(room: str) -> None:
    for path in files(f"webapp/{room}"):
        for name in touches(path, "webapp"):
            parts = name.split(".")
            if len(parts) > 1 and parts[1] in ROOMS:
                assert parts[1] in ROOMS[room], f"{named(path)} imports {name}"


@pytest.mark.parametrize("path", files("webapp", "workers"), ids=named)
def test_no_import_hides_inside_a_function(path: Path) -> None:
    if path.name == "apps.py":
        return  # Django's own way: signals are connected once models are there
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            hidden = [each for each in ast.walk(node) if isinstance(each, ast.Import | ast.ImportFrom)]
            ours = [
                each
                for each in hidden
                if isinstance(each, ast.ImportFrom) and (each.module or "").startswith(("webapp", "workers"))
            ]
            assert not ours, f"{named(path)}:{node.lineno}"


def test_there_is_no_ring_of_imports() -> None:
    modules = {
        named(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."): path
        for path in files("webapp", "workers")
    }
    graph = {
        name: {other for other in imports(path) if other in modules and other != name} for name, path in modules.items()
    }
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for other in graph[name]:
                walk(other, (*trail, name))
            done.add(name)

    for name in graph:
        walk(name, ())


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("file", ["workers/methods/{}.py", "workers/training/methods/{}.py", METHOD_TESTS])
def test_each_method_has_two_halves_and_a_test_of_its_name(file: str, name: str) -> None:
    assert (ROOT / file.format(name)).is_file()


UNSAFE = {("pickle", "load"), ("pickle", "loads"), ("os", "system"), ("yaml", "load")}


@pytest.mark.parametrize("path", files("webapp", "workers", "launcher", "manage.py"), ids=named)
def test_nothing_unsafe_is_called(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            assert node.func.id not in ("eval", "exec"), f"{named(path)}:{node.lineno}"
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            assert (node.func.value.id, node.func.attr) not in UNSAFE, f"{named(path)}:{node.lineno}"
        for keyword in node.keywords:
            value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
            assert not (keyword.arg in ("shell", "trust_remote_code") and value is True), f"{named(path)}:{node.lineno}"
            assert not (keyword.arg == "weights_only" and value is False), f"{named(path)}:{node.lineno}"
