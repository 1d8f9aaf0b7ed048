"""README says what the committed results say."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def update_readme():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        patch.delitem(sys.modules, "update_readme", raising=False)
        import update_readme

        yield update_readme


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
