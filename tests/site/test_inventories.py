"""Links into other references are resolved without a network."""

from io import BytesIO

from _ext.inventories import inventory
from _ext.notebooks import DOCS
from sphinx.util.inventory import InventoryFile


def test_an_inventory_is_one_sphinx_can_read():
    data = inventory("numpy", ["numpy.ndarray py:class generated/numpy.ndarray.html"])
    loaded = InventoryFile.load(BytesIO(data), "https://numpy.org/", lambda base, path: base + path)
    assert loaded["py:class"]["numpy.ndarray"].uri == "https://numpy.org/generated/numpy.ndarray.html"


def test_a_name_in_a_list_becomes_a_link_and_another_one_a_warning(project, tmp_path):
    folder = tmp_path / "source" / "_inv"
    folder.mkdir(parents=True)
    (folder / "python.txt").write_text(
        "https://docs.python.org/3/\nValueError py:exception exceptions.html#ValueError\n"
    )
    page = "# Page\n\n{py:exc}`ValueError` and {py:exc}`NoSuchError`."
    built = project({"index.md": page}, extensions=("sphinx.ext.intersphinx", "_ext.inventories"), nitpicky=True)
    assert 'href="https://docs.python.org/3/exceptions.html#ValueError"' in built.text("index.html")
    assert "py:exc reference target not found: NoSuchError" in built.warnings


def test_every_list_names_each_object_once():
    for file in (DOCS / "_inv").glob("*.txt"):
        address, *lines = file.read_text().split("\n")
        names = [line.split()[0] for line in lines if line]
        assert address.startswith("https://")
        assert len(names) == len(set(names)), file.name
