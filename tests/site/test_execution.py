"""Pages are executed before they are read; a failing or slow one stops the build, and no output is ever stale."""

import pytest
from _ext import execution, notebooks
from jupyter_cache import get_cache

HEAD = "---\nfile_format: mystnb\nkernelspec: {name: python3}\n---\n\n# Page\n\n"
EXTENSIONS = ("_ext.execution",)


def page(*cells: str) -> str:
    return HEAD + "\n".join(f"```{{code-cell}}\n{cell}\n```\n" for cell in cells)


def test_the_output_of_a_cell_is_in_the_page(project):
    built = project({"index.md": page("print(6 * 7)")}, extensions=EXTENSIONS)
    assert "42" in built.text("index.html")
    assert built.warnings == ""


def test_a_line_printed_in_pieces_is_one_line(project):
    code = "import sys\nfor piece in 'gradient', ' 6.0\\n':\n    sys.stdout.write(piece); sys.stdout.flush()"
    assert "gradient 6.0" in project({"index.md": page(code)}, extensions=EXTENSIONS).text("index.html")


def test_a_page_is_executed_once_for_both_editions(project, tmp_path):
    mark = tmp_path / "runs"
    files = {"index.md": page(f"open({str(mark)!r}, 'a').write('x');")}
    project(files, extensions=EXTENSIONS)
    project(files, extensions=EXTENSIONS, language="ko")
    project(files, extensions=EXTENSIONS, builder="gettext")
    assert mark.read_text() == "x"


def test_every_failing_page_is_named_with_its_error_and_the_build_stops(project, capsys):
    files = {"index.md": page("1 / 0"), "second.md": page("missing"), "third.md": page("1")}
    with pytest.raises(SystemExit, match="2 of 3 executed pages failed: index, second"):
        project(files, extensions=EXTENSIONS)


def test_a_failure_is_not_remembered(project):
    with pytest.raises(SystemExit):
        project({"index.md": page("1 / 0")}, extensions=EXTENSIONS)
    assert "0.5" in project({"index.md": page("1 / 2")}, extensions=EXTENSIONS).text("index.html")
    with pytest.raises(SystemExit):
        project({"index.md": page("1 / 0")}, extensions=EXTENSIONS)


def test_a_page_over_its_time_fails(project):
    with pytest.raises(SystemExit, match="1 of 1"):
        project({"index.md": page("1")}, extensions=EXTENSIONS, execution_page_seconds=0.001)


def test_the_time_of_a_page_is_that_of_its_own_work(project):
    """Waiting costs nothing, so that a busy machine does not make a page slow."""
    built = project({"index.md": page("import time; time.sleep(3)")}, extensions=EXTENSIONS, execution_page_seconds=3)
    (record,) = get_cache(built.app.config.nb_execution_cache_path).list_cache_records()
    assert 0 < record.data["execution_seconds"] < 3


@pytest.mark.parametrize(
    "warning",
    [
        "import warnings; warnings.warn('look out')",
        "import numpy; numpy.log(numpy.zeros(1))",
        "import warnings; warnings.warn('old', DeprecationWarning)",
    ],
)
def test_a_warning_a_reader_would_see_fails_the_page(project, warning):
    with pytest.raises(SystemExit):
        project({"index.md": page(warning)}, extensions=EXTENSIONS)


def test_work_that_turns_out_to_be_long_prints_no_progress_into_the_page(project):
    bar = "from tqdm import tqdm; print(tqdm(range(3)).disable)"
    assert "True" in project({"index.md": page(bar)}, extensions=EXTENSIONS).text("index.html")


def test_a_page_reads_no_file_of_its_neighbours(project):
    files = {"index.md": page("import os; print(os.listdir('.'))"), "data.txt": "1"}
    assert "data.txt" not in project(files, extensions=EXTENSIONS).text("index.html")


def test_figures_are_svg_in_the_packages_style_and_the_same_on_every_run(project, tmp_path):
    plot = "import matplotlib.pyplot as plt; plt.plot([1, 2]);"
    first = figures(project({"index.md": page(plot)}, extensions=EXTENSIONS))
    again = figures(
        project({"index.md": page(plot)}, extensions=EXTENSIONS, nb_execution_cache_path=str(tmp_path / "other"))
    )
    assert len(first) == 1
    assert first == again
    assert "#1a1a1b" in first.pop()


def figures(built) -> set[str]:
    return {path.read_text() for path in (built.out / "_images").glob("*.svg")}


def test_no_kernel_is_left_behind(project):
    import psutil

    project({"index.md": page("1")}, extensions=EXTENSIONS)
    assert not [
        child for child in psutil.Process().children(recursive=True) if "ipykernel" in " ".join(child.cmdline())
    ]


@pytest.mark.parametrize("name", ["rules/adam.py", "lossopt.mplstyle", "new.py"])
def test_any_change_of_the_package_gives_its_outputs_a_new_home(tmp_path, name):
    folder = tmp_path / "lossopt"
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "adam.py").write_text("lr = 1")
    (folder / "lossopt.mplstyle").write_text("font.size: 9")
    before = notebooks.fingerprint(folder)
    assert notebooks.fingerprint(folder) == before
    (folder / name).write_text("lr = 2")
    assert notebooks.fingerprint(folder) != before


def test_a_moved_file_is_a_change(tmp_path):
    (tmp_path / "a.py").write_text("x = 1")
    before = notebooks.fingerprint(tmp_path)
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert notebooks.fingerprint(tmp_path) != before


def test_compiled_files_are_not_a_change(tmp_path):
    before = notebooks.fingerprint(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("x")
    assert notebooks.fingerprint(tmp_path) == before


def test_another_installed_version_is_a_change(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path / "site")
    before = notebooks.fingerprint(tmp_path / "package")
    (tmp_path / "site" / "numpy-9.9.dist-info").mkdir(parents=True)
    assert notebooks.fingerprint(tmp_path / "package") != before


def test_the_kernel_has_one_thread_no_random_hashes_and_its_own_settings(tmp_path):
    environment = execution.kernel_environment(tmp_path / "ipython")
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["PYTHONHASHSEED"] == "0"
    assert (tmp_path / "ipython" / "profile_default" / "ipython_kernel_config.py").exists()
