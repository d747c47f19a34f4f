"""Build the site: `python docs/build.py [site | serve | live [en|ko] | translate | linkcheck]`.

site       both editions in docs/_build/site, which may be opened as files: docs/_build/site/index.html
serve      the same, then served at http://127.0.0.1:8000, or at another port if that one is taken
live       one edition, rebuilt and shown again whenever a page or the package changes
translate  bring the Korean catalogues up to date with the English pages
linkcheck  ask every outside link for an answer (needs a network)
"""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

from _ext import translation  # noqa: E402  (found through the line above)
from _ext.glossary import terms  # noqa: E402
from _ext.language_switch import EDITIONS, translated_pages  # noqa: E402
from _ext.notebooks import fingerprint, package_folder  # noqa: E402

BUILD = DOCS / "_build"
SITE = BUILD / "site"
POT = BUILD / "gettext"
STRICT = ["-W", "--keep-going", "-n", "-q"]


def start(module: str, *arguments: str | Path, language: str = "en") -> subprocess.Popen[bytes]:
    """A Python module, begun in a process of its own."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.Popen(command, env={**os.environ, "LOSSOPT_LANGUAGE": language})


def finish(*processes: subprocess.Popen[bytes]) -> None:
    codes = [process.wait() for process in processes]
    if any(codes):
        # Sphinx does not repeat the warnings of pages it does not read again: forget what it has read.
        for doctrees in BUILD.glob("*/doctrees"):
            shutil.rmtree(doctrees)
        sys.exit("docs: the build failed, see above")


def html(language: str) -> subprocess.Popen[bytes]:
    """One edition, in an empty folder, so that no page that is gone stays; what was read and executed is kept."""
    out = BUILD / language / "html"
    shutil.rmtree(out, ignore_errors=True)
    return start("sphinx", *STRICT, "-d", BUILD / language / "doctrees", DOCS, out, language=language)


def gettext() -> subprocess.Popen[bytes]:
    """The sentences of every page, as templates of a translation."""
    return start("sphinx", "-q", "-b", "gettext", "-d", BUILD / "doctrees-gettext", DOCS, POT)


def build_site() -> None:
    """Both editions, one folder for them, and the gate of the Korean one; nothing where nothing has changed."""
    begun, sources, built = time.perf_counter(), fingerprint(DOCS, package_folder()), SITE / ".built"
    if built.exists() and built.read_text(encoding="utf-8") == sources:
        print(f"docs: nothing has changed; open {SITE / 'index.html'}")
        return
    finish(html("en"))  # executes the pages; the others find every cell in the cache
    finish(html("ko"), gettext())
    assemble()
    check_translation()
    built.write_text(sources, encoding="utf-8")
    print(f"docs: built in {time.perf_counter() - begun:.1f} s; open {SITE / 'index.html'}")


def assemble() -> None:
    """One folder with an edition in each subfolder and a first page that leads to them."""
    shutil.rmtree(SITE, ignore_errors=True)
    for language in EDITIONS:
        unneeded = shutil.ignore_patterns(".buildinfo*", "webpack-macros.html")
        shutil.copytree(BUILD / language / "html", SITE / language, ignore=unneeded)
    shutil.copy(DOCS / "_templates" / "root.html", SITE / "index.html")


def check_translation() -> None:
    """Stop if a page listed as complete in Korean is not."""
    problems = []
    for page in sorted(translated_pages(DOCS, "ko")):
        if not po_file(page).exists():
            problems.append(f"{page}: has no catalogue; run 'python docs/build.py translate'")
            continue
        template, catalogue = translation.load(POT / f"{page}.pot"), translation.load(po_file(page))
        found = list(translation.catalogue_problems(template, catalogue, terms()))
        # What the catalogue lacks is in English on the page: say it once.
        found = found or list(translation.page_problems((SITE / "ko" / f"{page}.html").read_text(encoding="utf-8")))
        problems += [f"{page}: {problem}" for problem in found]
    if problems:
        sys.exit("\n".join([*problems, f"docs: the Korean edition has {len(problems)} problems"]))


def po_file(page: str) -> Path:
    return DOCS / "locale" / "ko" / "LC_MESSAGES" / f"{page}.po"


def translate() -> None:
    """Update the catalogues of the pages in locale/ko/complete.txt; add a page there to begin its translation."""
    finish(gettext())
    wanted = BUILD / "gettext-wanted"
    shutil.rmtree(wanted, ignore_errors=True)
    for page in translated_pages(DOCS, "ko"):
        (wanted / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(POT / f"{page}.pot", wanted / f"{page}.pot")
    finish(start("sphinx_intl", "update", "-p", wanted, "-d", DOCS / "locale", "-l", "ko", "-w", "0", "--no-obsolete"))


def serve() -> None:
    build_site()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=SITE)
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 8000), handler)
    except OSError:  # something else is served there
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    print(f"docs: http://127.0.0.1:{server.server_port} (stop with Ctrl+C)")
    server.serve_forever()


def live(language: str) -> None:
    folders = ["-d", BUILD / language / "doctrees-live", DOCS, BUILD / language / "live"]
    watch = ["--watch", package_folder(), "--ignore", f"{BUILD}/*", "--ignore", "*.mo"]
    finish(start("sphinx_autobuild", "-n", *folders, *watch, "--port", "0", "--open-browser", language=language))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = {
        "site": build_site,
        "serve": serve,
        "live": lambda: live(arguments.language),
        "translate": translate,
        "linkcheck": lambda: finish(start("sphinx", "-b", "linkcheck", DOCS, BUILD / "linkcheck")),
    }
    parser.add_argument("command", nargs="?", default="site", choices=commands)
    parser.add_argument("language", nargs="?", default="en", choices=EDITIONS, help="the edition of 'live'")
    arguments = parser.parse_args()
    try:
        commands[arguments.command]()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
