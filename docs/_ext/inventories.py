"""Links to other projects' references without a request: their inventories are small text files in docs/_inv.

`numpy.txt` begins with the project's address, then has one `name type uri` a line for each name our docstrings use.
A name that is missing there is a broken reference and fails the build: add its line.
"""

from __future__ import annotations

import zlib
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config


def inventory(project: str, lines: list[str]) -> bytes:
    """The bytes of Sphinx's objects.inv, version 2."""
    head = f"# Sphinx inventory version 2\n# Project: {project}\n# Version: \n# The rest is compressed using zlib.\n"
    entries = (line.split() for line in lines)
    body = "".join(f"{name} {kind} 1 {uri} -\n" for name, kind, uri in entries)
    return head.encode() + zlib.compress(body.encode())


def write_inventories(app: Sphinx, config: Config) -> None:
    folder = Path(app.doctreedir, "inventories")
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(Path(app.srcdir, "_inv").glob("*.txt")):
        address, *lines = source.read_text(encoding="utf-8").split("\n")
        target = folder / f"{source.stem}.inv"
        target.write_bytes(inventory(source.stem, [line for line in lines if line.strip()]))
        config.intersphinx_mapping[source.stem] = (address, str(target))


def setup(app: Sphinx) -> dict[str, bool]:
    # Before intersphinx normalises its mapping.
    app.connect("config-inited", write_inventories, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
