"""Every executed page can be taken away as a notebook with its outputs, and as a script that runs."""

import subprocess
import sys

import nbformat

EXTENSIONS = ("_ext.execution", "_ext.downloads")
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


def test_the_notebook_has_the_outputs_also_when_nothing_was_executed_again(project):
    for _build in range(2):
        built = project({"guide/index.md": PAGE, "index.md": "# Home"}, extensions=EXTENSIONS)
        notebook = nbformat.reads(built.text("_notebooks/guide/index.ipynb"), as_version=4)
        nbformat.validate(notebook)
        assert notebook.cells[1].outputs[0].text == "42\n"


def test_cells_only_the_site_needs_are_left_out(project):
    built = project({"index.md": PAGE}, extensions=EXTENSIONS)
    for suffix in ("ipynb", "py"):
        assert "6 * 7" in built.text(f"_notebooks/index.{suffix}")
        assert "only_for_the_site" not in built.text(f"_notebooks/index.{suffix}")


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
