"""Each file from elsewhere is the recorded one, of the version that is said, with its licence beside it."""

import hashlib
import re

import pytest
from _ext.notebooks import DOCS

VENDOR = DOCS / "_ext" / "vendor"


def test_every_file_from_elsewhere_is_the_recorded_one():
    recorded = (VENDOR / "SHA256SUMS").read_text().splitlines()
    files = {line.split()[1]: line.split()[0] for line in recorded}
    ours = {VENDOR / "README.md", VENDOR / "SHA256SUMS"}
    there = {path for folder in (VENDOR, DOCS / "_static" / "vendor") for path in folder.rglob("*") if path.is_file()}
    assert {path.relative_to(DOCS).as_posix() for path in there - ours} == set(files)
    for name, digest in files.items():
        assert hashlib.sha256((DOCS / name).read_bytes()).hexdigest() == digest, name


@pytest.mark.parametrize(
    ("name", "file", "version"),
    [
        ("KaTeX", "katex.min.js", rb'version:"([\d.]+)"'),
        ("MicroPython", "micropython/micropython.wasm", rb"MicroPython v([\d.]+)"),
    ],
)
def test_the_readme_says_the_version_and_the_licence_of_each(name, file, version):
    said = re.search(
        rf"^{name} ([\d.]+),[^.].*, MIT licence \(`docs/([^`]+)`", (VENDOR / "README.md").read_text(), re.M
    )
    assert {said[1].encode()} == set(re.findall(version, (VENDOR / file).read_bytes()))
    assert "The MIT License (MIT)\n\nCopyright (c) " in (DOCS / said[2]).read_text()
