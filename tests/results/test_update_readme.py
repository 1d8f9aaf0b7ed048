"""README and the pages of results say what the committed results say."""

import re
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def folder():
    """The folder of the scripts, from which they import each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        for name in ("marks", "update_readme", "update_results"):
            patch.delitem(sys.modules, name, raising=False)
        yield


@pytest.fixture(scope="module")
def update_readme(folder):
    import update_readme

    return update_readme


@pytest.fixture(scope="module")
def update_results(folder):
    import update_results

    return update_results


@pytest.fixture(scope="module")
def readme(update_readme):
    return update_readme.README.read_text(encoding="utf-8")


def test_marked_parts_are_those_of_the_results(update_readme, readme):
    assert update_readme.filled(readme) == readme


def test_a_number_that_was_typed_is_found(update_readme, readme):
    _, _, found = readme.partition("<!-- findings -->")
    typed = readme.replace(found, found.replace("0.393", "0.300", 1))
    assert typed != readme
    assert update_readme.filled(typed) == readme


def test_a_mark_that_is_missing_is_named(update_readme, readme):
    with pytest.raises(SystemExit, match="<!-- findings -->"):
        update_readme.filled(readme.replace("<!-- findings -->", ""))


PAGES = sorted(
    path.parent.name
    for path in FOLDER.glob("*/README.md")
    if "<!-- /" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", PAGES)
def test_marked_parts_of_a_page_are_those_of_its_files(update_results, name):
    text = update_results.page(name).read_text(encoding="utf-8")
    assert update_results.filled(name, text) == text
    number = re.compile(r"\d+\.\d+")
    begin = text.index("<!-- ")
    typed = text[:begin] + number.sub("77.77", text[begin:], count=1)
    assert typed != text
    assert update_results.filled(name, typed) == text


def test_every_page_with_marks_is_filled(update_results):
    assert set(update_results.PAGES) == set(PAGES)
