"""What a page says of itself in a list of results."""

import pytest

LAYOUT = "{{ description | default('none', true) | e }}"
LONG = "A step goes where the loss falls, " * 9


def described(project, tmp_path, text):
    (tmp_path / "source" / "_templates").mkdir(parents=True)
    (tmp_path / "source" / "_templates" / "layout.html").write_text(LAYOUT, encoding="utf-8")
    built = project({"index.md": text}, extensions=("_ext.description",), templates_path=["_templates"])
    return built.text("index.html")


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("# A page\n\nFirst *said* in `code`\nand on.\n\nThen more.", "First said in code and on."),
        ("# A page\n\n**Idea.** A loss is a number.\n", "A loss is a number."),
        ("# A page\n\nA **loss** is a number.\n", "A loss is a number."),
        ('# A page\n\nIt is < 2 & "small".\n', "It is &lt; 2 &amp; “small”."),
        ("# A page\n", "none"),
    ],
)
def test_it_is_the_first_paragraph_without_its_head(project, tmp_path, text, description):
    assert described(project, tmp_path, text) == description


def test_a_long_one_ends_at_a_word(project, tmp_path):
    description = described(project, tmp_path, f"# A page\n\n{LONG}")
    assert 140 < len(description) <= 160
    assert description.endswith(" …")
    assert LONG.startswith(description.removesuffix("…"))
