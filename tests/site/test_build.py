"""The driver: one command builds, one updates the translation, and an unfinished Korean page stops the build."""

import importlib.util
from types import ModuleType

import pytest
from _ext.notebooks import DOCS

MESSAGE = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n\nmsgid "A sentence."\nmsgstr "{}"\n'


@pytest.fixture
def build(tmp_path, monkeypatch) -> ModuleType:
    """The driver, with its folders in a temporary place and one page that is listed as complete."""
    spec = importlib.util.spec_from_file_location("docs_build", DOCS / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, folder in {"DOCS": "docs", "SITE": "site", "POT": "pot"}.items():
        monkeypatch.setattr(module, name, tmp_path / folder)
    write(tmp_path / "docs/locale/ko/complete.txt", "# pages\nguide/page\n")
    write(tmp_path / "pot/guide/page.pot", MESSAGE.format(""))
    write(tmp_path / "docs/locale/ko/LC_MESSAGES/guide/page.po", MESSAGE.format("한 문장."))
    write(tmp_path / "site/ko/guide/page.html", "<article><p>한 문장.</p></article>")
    return module


def write(path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_complete_page_passes(build):
    build.check_translation()


def test_an_untranslated_sentence_stops_the_build(build):
    write(build.po_file("guide/page"), MESSAGE.format(""))
    with pytest.raises(SystemExit, match=r"guide/page: 'A sentence\.': not translated"):
        build.check_translation()


def test_english_left_on_a_complete_page_stops_the_build(build):
    write(build.SITE / "ko/guide/page.html", "<article><p>Left in English.</p></article>")
    with pytest.raises(SystemExit, match="guide/page: still English"):
        build.check_translation()


def test_a_listed_page_without_a_catalogue_says_what_to_do(build):
    build.po_file("guide/page").unlink()
    with pytest.raises(SystemExit, match=r"guide/page: has no catalogue; run 'python docs/build.py translate'"):
        build.check_translation()


def test_the_site_has_both_editions_and_a_first_page(build, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "BUILD", tmp_path / "build")
    for language in ("en", "ko"):
        write(tmp_path / "build" / language / "html/index.html", language)
    write(build.DOCS / "_templates/root.html", "root")
    build.assemble()
    assert {path.relative_to(build.SITE).as_posix() for path in build.SITE.rglob("*.html")} == {
        "index.html",
        "en/index.html",
        "ko/index.html",
    }


def test_what_has_not_changed_is_not_built_again(build, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "BUILD", tmp_path / "docs/_build")
    monkeypatch.setattr(build, "SITE", tmp_path / "docs/_build/site")
    write(build.DOCS / "_templates/root.html", "root")
    page, editions = build.DOCS / "guide/page.md", []

    def html(language: str) -> str:
        editions.append(language)
        write(
            build.BUILD / language / "html/guide/page.html", f"<article><p>한 문장. {page.stat().st_size}</p></article>"
        )
        return language

    monkeypatch.setattr(build, "html", html)
    monkeypatch.setattr(build, "gettext", lambda: "templates")
    monkeypatch.setattr(build, "finish", lambda *processes: None)
    for text, expected in [("A sentence.", 2), ("A sentence.", 2), ("Another.", 4), ("Another.", 4)]:
        write(page, text)
        build.build_site()
        assert len(editions) == expected


def test_a_build_that_failed_is_built_again(build, tmp_path, monkeypatch):
    write(build.DOCS / "_templates/root.html", "root")
    write(build.po_file("guide/page"), MESSAGE.format(""))
    tries = []
    monkeypatch.setattr(build, "html", tries.append)
    monkeypatch.setattr(build, "gettext", lambda: None)
    monkeypatch.setattr(build, "finish", lambda *processes: None)
    monkeypatch.setattr(build, "assemble", lambda: None)
    for _ in range(2):
        with pytest.raises(SystemExit, match="not translated"):
            build.build_site()
    assert tries == ["en", "ko"] * 2


def test_a_failed_build_is_not_passed_by_trying_again(build, tmp_path, monkeypatch):
    """What Sphinx has read goes, so that it reads, and warns, again."""
    monkeypatch.setattr(build, "BUILD", tmp_path / "build")
    write(tmp_path / "build/en/doctrees/index.doctree", "")
    write(tmp_path / "build/cells/key/global.db", "")
    with pytest.raises(SystemExit, match="the build failed"):
        build.finish(build.start("sphinx", "--no-such-option"))
    assert not (tmp_path / "build/en/doctrees").exists()
    assert (tmp_path / "build/cells/key/global.db").exists()


def test_an_unknown_command_is_refused(build, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["build.py", "sight"])
    with pytest.raises(SystemExit):
        build.main()
    assert "invalid choice: 'sight'" in capsys.readouterr().err
