"""What the README promises, and what the project's files say of one another."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lossopt

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# They come with every environment, and nothing depends on their version.
INSTALLERS = {"lossopt", "pip", "setuptools", "wheel"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def test_everything_that_is_installed_is_what_the_constraints_pin():
    # Of what an environment holds twice, the first is what Python imports; a local label (+cpu) is not a version.
    installed: dict[str, str] = {}
    for found in distributions():
        installed.setdefault(canonicalize_name(found.name), found.version.split("+")[0])
    pinned = pins()
    assert {name: v for name, v in installed.items() if name not in INSTALLERS and pinned.get(name) != v} == {}


def test_every_dependency_of_the_project_is_pinned():
    lists = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    lists += PROJECT["dependency-groups"].values()
    wanted = [line for lines in lists for line in lines if isinstance(line, str)]
    for line in wanted:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if name not in INSTALLERS:
            assert requirement.specifier.contains(pins()[name]), line


def test_the_constraints_name_no_host():
    assert not re.search(r"/|@|--", (ROOT / "constraints.txt").read_text(encoding="utf-8"))


@pytest.mark.skipif("LOSSOPT_INSTALLED" not in os.environ, reason="only `nox -s tests` runs against the built wheel")
def test_the_tests_import_the_built_wheel():
    assert not Path(lossopt.__file__).is_relative_to(ROOT / "lossopt")


@pytest.mark.skipif("LOSSOPT_INSTALLED" not in os.environ, reason="only `nox -s tests` runs against the built wheel")
def test_the_wheel_holds_every_file_of_the_package():
    def files(folder: Path) -> set[str]:
        found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        return {name for name in found if "__pycache__" not in name}

    assert files(Path(lossopt.__file__).parent) == files(ROOT / "lossopt")


def test_the_readme_example_prints_what_the_readme_prints():
    done = subprocess.run([sys.executable, "-c", blocks("python")[0]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == blocks("text")[0]


def test_the_check_of_a_clean_checkout_runs_the_test_command_of_the_readme():
    (command,) = (block.strip() for block in blocks("console") if "-s tests" in block)
    assert command in (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()


def test_the_home_page_gives_the_build_command_of_the_readme():
    (command,) = (block.strip() for block in blocks("console") if "-s docs" in block)
    assert command in (ROOT / "docs/index.md").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("words", ["show adam", "list"])
def test_the_readme_commands_for_copying_work(words):
    assert f"python -m lossopt {words}" in README
    done = subprocess.run([sys.executable, "-m", "lossopt", *words.split()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "adam" in done.stdout


def test_the_readme_copy_command_writes_a_file_that_runs(tmp_path):
    (command,) = re.findall(r"^python -m lossopt (copy .*)$", README, flags=re.MULTILINE)
    subprocess.run([sys.executable, "-m", "lossopt", *command.split()], cwd=tmp_path, check=True)
    (written,) = tmp_path.iterdir()
    subprocess.run([sys.executable, "-I", written.name], cwd=tmp_path, check=True)


def test_the_readme_use_with_torch_takes_a_step():
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(3, 1)
    before = net.weight.detach().clone()
    names = {"net": net}
    exec(blocks("python")[1], names)
    net(torch.ones(2, 3)).sum().backward()
    names["optimizer"].step()
    assert not torch.equal(before, net.weight)


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [("torch", "torch", "torch"), ("plot", "matplotlib", "plot"), ("formula", "sympy", "formula")],
)
def test_a_module_whose_library_is_missing_names_the_extra(module, library, extra):
    code = f"import sys; sys.modules['{library}'] = None; import lossopt; lossopt.{module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert re.search(rf"lossopt\.{module} needs \w+: pip install 'lossopt\[{extra}\]'$", done.stderr.strip())
