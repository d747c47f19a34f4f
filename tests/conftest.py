"""Environments that hold what a test names, what that needs, and nothing else."""

import venv
from collections.abc import Callable
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import lossopt


def needed(requirements: tuple[str, ...]) -> dict[str, Distribution]:
    """The installed distributions that the requirements name, and those that these require in turn."""
    found: dict[str, Distribution] = {}
    seen: set[str] = set()
    waiting = list(requirements)
    while waiting:
        line = waiting.pop()
        if line not in seen:
            seen.add(line)
            requirement = Requirement(line)
            found[requirement.name] = installed = distribution(requirement.name)
            for inner in map(Requirement, installed.requires or []):
                extras = requirement.extras or {""}
                if not inner.marker or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                    inner.marker = None
                    waiting.append(str(inner))
    return found


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a fresh environment: `environment("numpy")` returns the Python of one in which only NumPy can be imported.

    Its packages are links to those installed here: the very versions the tests run with, at once and without a
    network, where installing torch would take a minute. There is no pip in it, and no .pth file, so nothing else is
    found. Run its Python with -I, which shuts out PYTHONPATH, the user's packages and the current folder.
    """

    def make(*requirements: str) -> Path:
        folder = tmp_path_factory.mktemp("environment")
        venv.create(folder, symlinks=True)
        (packages,) = folder.glob("lib/python*/site-packages")
        for name, installed in needed(requirements).items():
            tops = {Path(installed.locate_file(file.parts[0])) for file in installed.files or []}
            if name == "lossopt":  # a checkout that is installed to be edited lists no file of the package
                tops.add(Path(lossopt.__file__).parent)
            for top in tops:
                link = packages / top.name
                if top.name not in ("..", "__pycache__") and top.suffix != ".pth" and not link.exists():
                    link.symlink_to(top.resolve())
        return folder / "bin" / "python"

    return make
