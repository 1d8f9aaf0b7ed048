"""Mutated results: a report or one sentence, never a traceback, nothing outside, nothing unescaped.

Every day 60 mutations are tried. ``RNNBENCH_MUTATIONS=10000 pytest -m slow tests/report`` tries as
many as it says, other ones each time.
"""

import json
import os
import re
import shutil
import warnings
import zlib

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from rnnbench.errors import UserError
from rnnbench.report import build, render
from rnnbench.report.build import build_report
from rnnbench.report.exports import frame_bytes, read_frame
from rnnbench.report.writer import MANIFEST, render_report, write_report
from rnnbench.results import read, rounds_of
from tests.report.mutations import (
    MARK,
    Tags,
    as_bytes,
    base_document,
    damage,
    faults,
    mutated,
    mutations,
)
from tests.report.test_writer import snapshot

BASE = base_document()
WANTED = os.environ.get("RNNBENCH_MUTATIONS")
# One in so many of those that are reported has its pictures, and is written.
_DRAWN = 6 if WANTED else 4
_FILE = re.compile(r"(index|cases)\.\w+|(tables|plots)/[a-z0-9_]+\.(csv|md|svg|png)")
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

settings.register_profile(
    "mutations",
    deadline=None,
    database=None,
    print_blob=True,
    # Shrinking takes many minutes; what failed is printed, and is four changes at most.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
MUTATIONS = settings.get_profile("mutations")


class Trial:
    """Runs everything on one file after the other, and counts what became of them."""

    def __init__(self, folder, drawn):
        self.folder = folder
        self.drawn = drawn
        self.file = folder / "made.json"
        self.counts = dict.fromkeys(("refused", "reported", "hostile", "drawn"), 0)
        self.file.write_bytes(as_bytes(BASE, None))
        results = read(self.file)
        tags = Tags()
        tags.feed(render_report(build_report(results), results)["index.html"].decode())
        # What a page may consist of; sections that need a picture or a table may be missing.
        self.known = tags.seen

    def __call__(self, data):
        self.file.write_bytes(data)
        try:
            results = read(self.file)
        except UserError as error:
            self.counts["refused"] += 1
            said = str(error)
            assert said.startswith(f"{self.file}: ")
            assert not _CONTROL.search(said), said[:200]
            assert len(said) < 2000
            return
        baseline = _baseline(results)
        # Drawing takes ten times as long as all else. Which have pictures is up to their bytes, as
        # Hypothesis draws the simplest value most with the simplest of mutations.
        pictures = zlib.crc32(data) % _DRAWN == 0
        build.pictures = self.drawn if pictures else _none
        report = build_report(results, baseline=baseline)
        files = self._written(report, results) if pictures else render_report(report, results)
        assert all(_FILE.fullmatch(name) for name in files)
        assert faults(files, self.known) == []
        for table in report.tables:
            assert not _CONTROL.search(render.to_text(table))
        frame_bytes(results.frame, ".md")
        self.counts["reported"] += 1
        # Of those that were reported, on how many pages the hostile text stands, as a text.
        self.counts["hostile"] += MARK.encode() in files["index.html"]

    def _written(self, report, results):
        before = snapshot(self.folder)
        write_report(report, results, self.folder / "report")
        frame = rounds_of(results)
        (self.folder / "out.csv").write_bytes(frame_bytes(frame, ".csv"))
        assert read_frame(self.folder / "out.csv").equals(frame)
        (self.folder / "out.csv").unlink()
        after = snapshot(self.folder)
        inside = {name for name in after if name.split("/")[0] == "report"}
        assert {name: after[name] for name in after.keys() - inside} == before
        shutil.rmtree(self.folder / "report")
        self.counts["drawn"] += 1
        files = {name.removeprefix("report/"): after[name] for name in inside}
        files = {name: data for name, data in files.items() if data is not None}
        assert set(json.loads(files.pop(MANIFEST))["files"]) == files.keys()
        return files


def _none(*_):
    return []


def _baseline(results):
    there = results.measured["implementation"].tolist()
    return "nn_rnn" if "nn_rnn" in there or not there else there[0]


@pytest.fixture
def trial(tmp_path, monkeypatch):
    drawn = build.pictures
    monkeypatch.setattr(build, "pictures", drawn)
    with warnings.catch_warnings():
        # A mutation that is read must not end in NaN by the way either.
        warnings.simplefilter("error", RuntimeWarning)
        trial = Trial(tmp_path, drawn)
        if not WANTED:
            # In a few of a hundred a hostile text is on the page: too rare for those of every day.
            whole = as_bytes(BASE, None)
            named = whole.replace(b'"compiled_loop"', f'"<b {MARK}>"'.encode())
            assert named != whole
            trial(named)
        yield trial
    assert min(trial.counts.values()) > 0, trial.counts
    print(f"\nmutations: {trial.counts}")  # noqa: T201


# Which ones also depends on the modules that are there: Hypothesis draws constants of theirs.
@settings(MUTATIONS, max_examples=60, derandomize=True)
@given(changes=mutations(BASE), harm=damage)
def test_a_mutated_result_is_reported_or_refused(trial, changes, harm):
    trial(as_bytes(mutated(BASE, changes), harm))


@pytest.mark.slow
@pytest.mark.skipif(not WANTED, reason="set RNNBENCH_MUTATIONS, such as to 10000")
@settings(MUTATIONS, max_examples=int(WANTED or 1))
@given(changes=mutations(BASE), harm=damage)
def test_as_many_as_wanted_are_reported_or_refused(trial, changes, harm):
    trial(as_bytes(mutated(BASE, changes), harm))


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory):
    """The report on the document without mutation, and its files."""
    path = tmp_path_factory.mktemp("unharmed") / "made.json"
    path.write_bytes(as_bytes(BASE, None))
    results = read(path)
    report = build_report(results)
    return report, render_report(report, results)


def test_the_document_without_mutation_has_every_table(unharmed):
    names = {table.name for table in unharmed[0].tables}
    assert {"fastest", "devices", "crossover", "compilation", "not_measured", "scaling"} <= names


@pytest.mark.parametrize(
    "markup",
    [
        "<script>hOsTiLe()</script>",
        "<img src=x onerror=hOsTiLe()>",
        '<a href="https://example.org">x</a>',
        "<p hOsTiLe>",
        "\u202e",
    ],
)
def test_the_checks_find_what_they_look_for(unharmed, markup):
    files = unharmed[1]
    tags = Tags()
    tags.feed(files["index.html"].decode())
    assert faults(files, tags.seen) == []
    broken = files["index.html"].replace(b"</main>", markup.encode() + b"</main>")
    assert faults({"index.html": broken}, tags.seen) != []
    assert faults({**files, "tables/x.csv": b"a\n=1+hOsTiLe\n"}, tags.seen) != []
    assert faults({**files, "tables/x.md": b"<script>"}, tags.seen) != []
