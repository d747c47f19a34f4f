"""What a page offers to take away is what the page shows: its copied formulas, its notebooks and its script."""

import functools
import math
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path

import nbformat
import pytest
from _ext.execution import join_streams
from _ext.notebooks import DOCS
from bs4 import BeautifulSoup

from lossopt.__main__ import main

EXTENSIONS = ("_ext.execution", "_ext.downloads")
SUFFIXES = (".ipynb", "-without-outputs.ipynb", ".py")
PAGE = """---
file_format: mystnb
kernelspec: {name: python3}
---

# Page

Some *prose*.

```{code-cell}
print(6 * 7)
```

```{code-cell}
:tags: [remove-cell]
only_for_the_site = 1
```
"""
EXECUTED = [
    path.relative_to(DOCS).with_suffix("").as_posix()
    for path in sorted(DOCS.rglob("*.md"))
    if "_build" not in path.parts and "file_format: mystnb" in path.read_text(encoding="utf-8")[:200]
]
# Quick ones that have between them figures, tables, torch and real data; `nox -s nightly` runs every page.
SAMPLE = {"start", "backprop/chain-rule", "compare/fashion", "optimizers/index"}
every_page = pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[] if page in SAMPLE else pytest.mark.nightly) for page in EXECUTED]
)


def test_the_notebook_has_the_outputs_also_when_nothing_was_executed_again(project):
    for _build in range(2):
        built = project({"guide/index.md": PAGE, "index.md": "# Home"}, extensions=EXTENSIONS)
        notebook = nbformat.reads(built.text("_notebooks/guide/index.ipynb"), as_version=4)
        nbformat.validate(notebook)
        assert notebook.cells[1].outputs[0].text == "42\n"


def test_the_notebook_without_outputs_has_the_same_cells_and_no_trace_of_a_run(project):
    built = project({"index.md": PAGE}, extensions=EXTENSIONS)
    ran, empty = (nbformat.reads(built.text(f"_notebooks/index{suffix}"), as_version=4) for suffix in SUFFIXES[:2])
    nbformat.validate(empty)
    assert [cell.source for cell in empty.cells] == [cell.source for cell in ran.cells]
    assert (empty.cells[1].outputs, empty.cells[1].execution_count) == ([], None)


def test_cells_only_the_site_needs_are_left_out(project):
    built = project({"index.md": PAGE}, extensions=EXTENSIONS)
    for suffix in SUFFIXES:
        assert "6 * 7" in built.text(f"_notebooks/index{suffix}")
        assert "only_for_the_site" not in built.text(f"_notebooks/index{suffix}")


def test_the_script_runs(project):
    built = project({"index.md": PAGE}, extensions=EXTENSIONS)
    done = subprocess.run(
        [sys.executable, built.out / "_notebooks/index.py"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "42\n"


def test_two_builds_give_the_same_bytes(project):
    first = project({"index.md": PAGE}, extensions=EXTENSIONS).text("_notebooks/index.ipynb")
    assert project({"index.md": PAGE}, extensions=EXTENSIONS).text("_notebooks/index.ipynb") == first


def test_a_page_without_cells_has_none(project):
    built = project({"index.md": "# Home"}, extensions=EXTENSIONS)
    assert not (built.out / "_notebooks").exists()


def cut(file, beginning, end):
    """The parts of a page between two pieces of its HTML; parsing them alone is much quicker than whole pages."""
    parts = re.findall(f"{beginning}.*?{end}", file.read_text(encoding="utf-8"), re.DOTALL)
    return [BeautifulSoup(part, "html.parser") for part in parts]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_executed_page_offers_its_notebook_with_and_without_outputs_and_its_script(site, language):
    for page in EXECUTED:
        file = site / language / f"{page}.html"
        (links,) = cut(file, '<div class="tocsection downloads">', "</ul>")
        offered = [(file.parent / link["href"]).resolve() for link in links.select("a[download]")]
        assert offered == [site.resolve() / language / "_notebooks" / f"{page}{suffix}" for suffix in SUFFIXES], page
        assert all(path.exists() for path in offered), page


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_block_to_copy_is_the_text_that_its_command_prints(site, capsys, language):
    files = sorted((site / language).rglob("*.html"))
    blocks = [block for file in files for block in cut(file, '<div class="copy-me', "</pre>.*?</pre>")]
    assert len(blocks) > 20
    for block in blocks:
        command, text = (part.text for part in block.select("pre"))
        assert command.split()[:3] == ["python", "-m", "lossopt"]
        assert main(command.split()[3:]) == 0
        assert text == capsys.readouterr().out, command


# A cell that reads the clock or counts bytes prints other numbers in every run.
MEASURES = re.compile(r"\b(perf_counter|process_time|tracemalloc)\b")
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


def printed(notebook, results):
    """Each line that the cells print, or also return, and whether its numbers are those of every run.

    Claims that follow such a cell may rest on what it measured, so on its page their numbers are not compared:
    a claim that does not hold has failed by itself.
    """
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    measuring = [cell for cell in cells if MEASURES.search(cell.source)]
    for cell in cells:
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == "stdout":
                text, same = output.text, cell not in measuring
            elif output.output_type == "execute_result" and results:
                text, same = output.data["text/plain"], cell not in measuring
                same = same and not (measuring and cell.source.lstrip().startswith("claim("))
            else:
                continue
            for line in text.splitlines():
                yield line, same


def differences(lines, wanted):
    """Where what was printed is not what the page shows: other words, or numbers further away than rounding."""
    for line, (expected, same) in zip(lines, wanted, strict=True):
        words, numbers = zip(*(words_and_numbers(text) for text in (line, expected)), strict=True)
        close = len(numbers[0]) == len(numbers[1]) and all(
            math.isclose(*pair, rel_tol=1e-6, abs_tol=1e-12) for pair in zip(*numbers, strict=True)
        )
        if words[0] != words[1] or (same and not close):
            yield line, expected


def words_and_numbers(line):
    words = re.findall(r"[^\W\d_]+", NUMBER.sub(" ", line))
    return words, [float(number.replace(",", "")) for number in NUMBER.findall(line)]


@pytest.mark.parametrize(
    ("line", "wanted", "same"),
    [
        ("w = 0.8734, then 1.5e-17", "w = 0.8734, then 0", True),
        ("w = 0.8734", "w = 0.8735", False),
        ("w = 0.8734", "w = -0.8734", False),
        ("w = 0.8734", "v = 0.8734", False),
        ("1,024 steps", "1,025 steps", False),
        ("steps: 3", "steps: 3 4", False),
        ("1e-07", "1e-08", False),
    ],
)
def test_another_word_or_number_is_noticed(line, wanted, same):
    assert bool(list(differences([line], [(wanted, True)]))) != same


def test_only_the_words_are_compared_of_what_is_measured_anew():
    assert not list(differences(["took 3 s"], [("took 4 s", False)]))
    assert list(differences(["took 3 s"], [("lasted 3 s", False)]))


def away(python, folder):
    """The settings of a process outside the repository: one thread, as when the site was built, and no screen."""
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {"cwd": folder, "env": {**kept, "PATH": path, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}}


LOSSOPT = f"lossopt[{','.join(metadata('lossopt').get_all('Provides-Extra'))}]"


@pytest.fixture(scope="module")
def reader(environment):
    """Make the Python of somebody who installed lossopt with its extras, what a page tells to, and nothing else."""
    made = functools.cache(environment)

    def make(page, *others):
        told = re.findall(r"`pip install ([\w-]+)`", (DOCS / f"{page}.md").read_text(encoding="utf-8"))
        return made(LOSSOPT, *told, *others)

    return make


@every_page
def test_the_script_of_a_page_prints_elsewhere_what_the_page_shows(page, site, reader, tmp_path):
    python = reader(page)
    shown = nbformat.read(site / "en" / "_notebooks" / f"{page}.ipynb", as_version=4)
    script = Path(shutil.copy(site / "en" / "_notebooks" / f"{page}.py", tmp_path))
    done = subprocess.run(
        [python, "-I", script.name], **away(python, tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert list(differences(done.stdout.splitlines(), list(printed(shown, results=False)))) == []


RUN = """
import sys
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
# Sockets in this folder: kernels side by side have no port to race for.
kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip="kernel")
NotebookClient(notebook, km=kernel, timeout=300).execute()
nbformat.write(notebook, "executed.ipynb")
"""


@every_page
def test_the_notebook_of_a_page_gives_elsewhere_what_the_page_shows(page, site, reader, tmp_path):
    python = reader(page, "ipykernel", "nbclient")
    shown, empty = (
        nbformat.read(site / "en" / "_notebooks" / f"{page}{suffix}", as_version=4) for suffix in SUFFIXES[:2]
    )
    # One run serves both downloads: their cells are the same.
    assert [cell.source for cell in empty.cells] == [cell.source for cell in shown.cells]
    assert not any(cell.outputs for cell in empty.cells if cell.cell_type == "code")
    nbformat.write(empty, tmp_path / "page.ipynb")
    done = subprocess.run(
        [python, "-I", "-c", RUN, "page.ipynb"],
        **away(python, tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    executed = nbformat.read(tmp_path / "executed.ipynb", as_version=4)
    join_streams(executed)
    lines = [line for line, _ in printed(executed, results=True)]
    assert list(differences(lines, list(printed(shown, results=True)))) == []
