"""What is installed is what the checkout holds, below one name and without the checkout's links."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from helpers.places import CHECKOUT

import spikesim

LINKED = ("mapping", "power_models", "rtl")


def project() -> dict[str, Any]:
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))


def installed_names() -> set[str]:
    """Return where every file of the packages must be in the wheel, read off the folders of the checkout."""
    names = set()
    for folder in ("spikesim", *LINKED):
        prefix = "spikesim/" if folder in LINKED else ""
        for path in (CHECKOUT / folder).rglob("*"):  # does not follow the links below spikesim
            if path.is_file() and "__pycache__" not in path.parts:
                names.add(prefix + path.relative_to(CHECKOUT).as_posix())
    return names


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist from a copy without the links, and the wheel from that sdist."""
    source = tmp_path_factory.mktemp("source")
    for path in (CHECKOUT / "pyproject.toml", CHECKOUT / "LICENSE", *CHECKOUT.glob("README.md")):
        shutil.copy(path, source)
    for folder in ("spikesim", *LINKED):
        skipped = LINKED if folder == "spikesim" else ()
        shutil.copytree(
            CHECKOUT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__", *skipped)
        )
    dist = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(source)]
    done = subprocess.run(command, cwd=dist, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = dist.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_wheel_puts_one_name_at_the_top_level(unpacked: Path) -> None:
    info = f"spikesim-{spikesim.__version__}.dist-info"
    assert {path.name for path in unpacked.iterdir()} == {"spikesim", info}


def test_wheel_holds_every_file_and_nothing_else(unpacked: Path) -> None:
    packed = {
        path.relative_to(unpacked).as_posix() for path in (unpacked / "spikesim").rglob("*") if path.is_file()
    }
    assert sorted(installed_names() - packed) == []  # a new package is missing in pyproject.toml?
    assert sorted(packed - installed_names()) == []


def test_every_module_of_the_wheel_can_be_imported_away_from_the_checkout(unpacked: Path) -> None:
    script = """
import importlib, importlib.util, pathlib, pkgutil, sys
site, checkout = map(pathlib.Path, sys.argv[1:])
sys.path.insert(0, str(site))
sys.path = [entry for entry in sys.path if pathlib.Path(entry).resolve() != checkout]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
import spikesim
# What runs inside a Lava worker can be imported only where Lava can; this process is one of its own, too.
from spikesim.backends.lava import package, repair
sys.path.append(str(package.find_lava()))
repair.prepare()
def fail(name): raise
names = [m.name for m in pkgutil.walk_packages(spikesim.__path__, "spikesim.", onerror=fail)]
for name in names:
    if not name.endswith(".__main__"):
        module = importlib.import_module(name)
        assert site in pathlib.Path(module.__file__).parents, f"{name} comes from {module.__file__}"
for name in ("rtl", "mapping", "power_models"):
    assert f"spikesim.{name}" in names, f"spikesim.{name} is missing"
    assert importlib.util.find_spec(name) is None, f"{name} is visible without spikesim"
print(*names)
"""
    command = [sys.executable, "-I", "-c", script, str(unpacked), str(CHECKOUT)]
    done = subprocess.run(command, cwd=unpacked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    modules = {
        ".".join(path.relative_to(unpacked).with_suffix("").parts).removesuffix(".__init__")
        for path in unpacked.rglob("*.py")
    }
    assert {"spikesim", *done.stdout.split()} == modules


def test_command_line_is_installed(unpacked: Path) -> None:
    entries = configparser.ConfigParser()
    entries.read(next(unpacked.glob("*.dist-info")) / "entry_points.txt")
    assert entries["console_scripts"]["spikesim"] == "spikesim.cli:main"
    script = "import sys; sys.path.insert(0, sys.argv.pop(1)); from spikesim.cli import main; main()"
    command = [sys.executable, "-I", "-c", script, str(unpacked), "--help"]
    done = subprocess.run(command, cwd=unpacked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "map" in done.stdout


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = "import sys, spikesim; print({'torch', 'numpy', 'numba', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_version_is_said_once_more_and_alike() -> None:
    assert spikesim.__version__ == project()["project"]["version"]


def test_constraints_pin_only_what_is_asked_for() -> None:
    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[^A-Za-z0-9-]", line)[0] for line in requirements}

    asked = project()["project"]
    extras = asked["optional-dependencies"]
    wanted = names(asked["dependencies"] + extras["dev"] + extras["lava"])
    lines = (CHECKOUT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert names([line for line in lines if line and not line.startswith("#")]) <= wanted
