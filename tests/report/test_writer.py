"""A report as a folder: whole or not at all, and nothing but its own files."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from rnnbench.errors import UserError
from rnnbench.report import outputs, plots, writer
from rnnbench.report.plots import canvas
from rnnbench.report.writer import MANIFEST, render_report, write_report
from rnnbench.results import read
from tests.conftest import environment
from tests.report.made import content, small_report
from tests.synthetic import write

FILES = {
    "index.html",
    "index.md",
    "cases.csv",
    "cases.json",
    "tables/cases.csv",
    "tables/cases.md",
    "plots/nothing.svg",
    "plots/nothing.png",
    MANIFEST,
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return read(write(tmp_path_factory.mktemp("results") / "made.json", content()))


@pytest.fixture(scope="module")
def report(results):
    return small_report(results)


@pytest.fixture(scope="module")
def other(results):
    """A report with other names, so that files of the first are stale."""
    made = small_report(results, title="Other")
    (section,) = made.sections
    table = dataclasses.replace(section.tables[0], name="renamed")
    return dataclasses.replace(
        made, sections=[dataclasses.replace(section, tables=[table], pictures=[])]
    )


def snapshot(folder):
    """Everything below a folder: contents of files, targets of links."""
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in sorted(folder.rglob("*"))
    }


def files_of(folder):
    return {name for name, data in snapshot(folder).items() if data is not None}


class TestContent:
    def test_a_new_folder_has_every_part_and_nothing_else(self, report, results, tmp_path):
        page = write_report(report, results, tmp_path / "report")
        assert page == tmp_path / "report" / "index.html"
        assert files_of(tmp_path / "report") == FILES
        assert [path.name for path in tmp_path.iterdir()] == ["report"]
        manifest = json.loads((tmp_path / "report" / MANIFEST).read_text())
        assert set(manifest["files"]) == FILES - {MANIFEST}

    def test_files_have_the_rights_that_others_of_this_user_have(self, report, results, tmp_path):
        (tmp_path / "plain").mkdir()
        (tmp_path / "plain" / "file").write_text("")
        write_report(report, results, tmp_path / "report")
        for made, plain in (("report", "plain"), ("report/index.html", "plain/file")):
            assert (tmp_path / made).stat().st_mode == (tmp_path / plain).stat().st_mode

    def test_files_hold_what_their_endings_say(self, report, results):
        files = render_report(report, results)
        assert files["index.html"].lower().startswith(b"<!doctype html>")
        assert files["plots/nothing.png"].startswith(b"\x89PNG")
        assert files["plots/nothing.svg"].startswith(b"<svg")
        (paper,) = ET.fromstring(files["plots/nothing.svg"]).findall(
            "{http://www.w3.org/2000/svg}rect"
        )
        assert paper.get("style") == "fill: #fff"
        assert b"drawn" in files["plots/nothing.svg"]
        assert len(json.loads(files["cases.json"])["rows"]) == len(results.frame)
        assert files["cases.csv"].startswith(b"run,implementation,")

    def test_the_markdown_page_links_to_files_that_there_are_and_escapes(self, report, results):
        files = render_report(report, results)
        text = files["index.md"].decode()
        assert "![A word.](plots/nothing.svg)" in text
        assert "(tables/cases.csv)" in text
        assert "nn_rnn is &lt;fastest&gt;." in text

    def test_a_long_table_is_linked_and_not_repeated(self, report, results):
        (section,) = report.sections
        table = dataclasses.replace(section.tables[0], rows=[*section.tables[0].rows] * 50)
        long = dataclasses.replace(section, tables=[dataclasses.replace(table, name="long")])
        files = render_report(dataclasses.replace(report, sections=[long]), results)
        assert b"250 rows: [Markdown](tables/long.md)" in files["index.md"]
        assert files["tables/long.md"].count(b"\n| made ") == 250
        assert b"| made " not in files["index.md"]

    @pytest.mark.parametrize("name", ["../escaped", "a/b", "a b", "", "A", "a\n", "x.csv", "é"])
    def test_a_name_that_is_no_plain_word_is_refused(self, report, results, tmp_path, name):
        (section,) = report.sections
        table = dataclasses.replace(section.tables[0], name=name)
        bad = dataclasses.replace(
            report, sections=[dataclasses.replace(section, tables=[table], pictures=[])]
        )
        with pytest.raises(ValueError, match="no name for a file"):
            write_report(bad, results, tmp_path / "report")
        assert list(tmp_path.iterdir()) == []


class TestReplacing:
    def test_files_of_the_earlier_report_go_and_those_of_others_stay(
        self, report, other, results, tmp_path
    ):
        folder = tmp_path / "report"
        write_report(report, results, folder)
        (folder / "notes.txt").write_text("mine")
        (folder / "plots" / "mine.png").write_text("mine")
        write_report(other, results, folder)
        found = snapshot(folder)
        assert "tables/renamed.csv" in found
        assert not {"tables/cases.csv", "plots/nothing.svg", "plots/nothing.png"} & set(found)
        assert found["notes.txt"] == found["plots/mine.png"] == b"mine"
        assert b"Other" in found["index.html"]
        assert not any(name.startswith(outputs.STAGED) for name in found)

    def test_a_folder_that_became_empty_goes(self, report, other, results, tmp_path):
        write_report(report, results, tmp_path / "report")
        write_report(other, results, tmp_path / "report")
        assert not (tmp_path / "report" / "plots").exists()

    def test_the_same_report_twice_is_the_same_folder(self, report, results, tmp_path):
        write_report(report, results, tmp_path)
        once = snapshot(tmp_path)
        write_report(report, results, tmp_path)
        assert snapshot(tmp_path) == once

    @pytest.mark.parametrize("name", ["index.html", "cases.csv", "tables/cases.md"])
    def test_a_file_that_is_of_no_report_is_not_replaced(self, report, results, tmp_path, name):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
        before = snapshot(tmp_path)
        with pytest.raises(UserError, match=f"{name} is there already"):
            write_report(report, results, tmp_path)
        assert snapshot(tmp_path) == before

    @pytest.mark.parametrize("name", ["index.html", MANIFEST, "tables/cases.md"])
    def test_a_folder_where_a_file_must_go_is_refused(self, report, results, tmp_path, name):
        (tmp_path / name).mkdir(parents=True)
        with pytest.raises(UserError, match=f"{name} is there already"):
            write_report(report, results, tmp_path)

    @pytest.mark.parametrize("listed", ["../victim", "/victim", "victim", "tables/../../victim"])
    def test_a_manifest_cannot_name_files_of_others(self, report, results, tmp_path, listed):
        folder = tmp_path / "report"
        folder.mkdir()
        (tmp_path / "victim").write_text("mine")
        (folder / "victim").write_text("mine")
        (folder / MANIFEST).write_text(json.dumps({"files": [listed, 3, None, ["x"]]}))
        write_report(report, results, folder)
        assert (tmp_path / "victim").read_text() == (folder / "victim").read_text() == "mine"

    @pytest.mark.parametrize("text", ["", "[]", "{", '{"files": 3}', "[" * 5000, "\x00"])
    def test_a_manifest_of_nonsense_counts_as_none(self, report, results, tmp_path, text):
        (tmp_path / MANIFEST).write_text(text)
        write_report(report, results, tmp_path)
        assert files_of(tmp_path) == FILES

    def test_a_name_of_the_manifest_that_is_a_folder_now_stays(self, report, results, tmp_path):
        (tmp_path / MANIFEST).write_text(json.dumps({"files": ["plots/old.svg"]}))
        (tmp_path / "plots" / "old.svg").mkdir(parents=True)
        write_report(report, results, tmp_path)
        assert (tmp_path / "plots" / "old.svg").is_dir()


class TestLinks:
    def test_nothing_is_written_through_a_link_inside(self, report, results, tmp_path):
        outside = tmp_path / "outside"
        outside.mkdir()
        folder = tmp_path / "report"
        folder.mkdir()
        (folder / "tables").symlink_to(outside)
        with pytest.raises(UserError, match="tables in it is no folder of a report"):
            write_report(report, results, folder)
        assert list(outside.iterdir()) == []

    def test_a_link_in_place_of_a_file_is_replaced_and_its_target_stays(
        self, report, results, tmp_path
    ):
        folder = tmp_path / "report"
        write_report(report, results, folder)
        victim = tmp_path / "victim"
        victim.write_text("mine")
        for name in ("index.html", MANIFEST):
            (folder / name).unlink()
            (folder / name).symlink_to(victim)
        # The manifest is not followed, so nothing counts as of an earlier report.
        with pytest.raises(UserError, match="is there already"):
            write_report(report, results, folder)
        (folder / MANIFEST).unlink()
        (folder / MANIFEST).write_text(json.dumps({"files": sorted(FILES)}))
        write_report(report, results, folder)
        assert victim.read_text() == "mine"
        assert not (folder / "index.html").is_symlink()

    def test_a_link_to_a_folder_is_where_the_user_wanted_it(self, report, results, tmp_path):
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        write_report(report, results, tmp_path / "link")
        assert files_of(tmp_path / "real") == FILES


def interrupted(process):
    """What a process says on its way out.

    Python drops an interrupt that meets a callback of the garbage collector, so that it is sent
    again where the process goes on.
    """
    try:
        for _ in range(5):
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.communicate(timeout=30)[1]
        raise AssertionError("five interrupts did not end it")
    finally:
        process.kill()


@pytest.fixture
def interruptible():
    """Interrupts raise, also in a job of a shell's background, which inherits that they do not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class TestFailing:
    @pytest.fixture
    def earlier(self, report, results, tmp_path):
        write_report(report, results, tmp_path / "report")
        return tmp_path

    def test_an_error_while_drawing_leaves_all_as_it_was(
        self, other, results, earlier, monkeypatch
    ):
        before = snapshot(earlier)
        monkeypatch.setattr(plots, "svg_text", lambda *_, **__: 1 / 0)
        broken = small_report(results)
        with pytest.raises(ZeroDivisionError):
            write_report(broken, results, earlier / "report")
        assert snapshot(earlier) == before

    @pytest.mark.parametrize("after", range(9))
    def test_an_error_while_moving_brings_back_what_was_there(
        self, other, results, earlier, monkeypatch, after
    ):
        before = snapshot(earlier)
        replaced = []
        real = os.replace

        def replace(source, target):
            # Bringing back goes from "aside", and works.
            if "aside" not in Path(source).parts:
                if len(replaced) == after:
                    raise OSError(28, "No space left on device")
                replaced.append(target)
            real(source, target)

        monkeypatch.setattr(os, "replace", replace)
        if after < len(render_report(other, results)) + 1:
            with pytest.raises(UserError, match="No space left on device; what was there is unch"):
                write_report(other, results, earlier / "report")
            assert snapshot(earlier) == before
        else:
            write_report(other, results, earlier / "report")

    @pytest.mark.parametrize("new", [True, False])
    def test_a_full_disk_while_staging_leaves_all_as_it_was(
        self, other, results, earlier, monkeypatch, new
    ):
        before = snapshot(earlier)
        real = Path.write_bytes

        def write_bytes(path, data):
            real(path, data[:10])
            if path.name == "cases.json":
                raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", write_bytes)
        with pytest.raises(UserError, match="No space left"):
            write_report(other, results, earlier / ("fresh" if new else "report"))
        assert snapshot(earlier) == before

    def test_without_hard_links_copies_do(self, other, results, earlier, monkeypatch):
        before = snapshot(earlier)

        def refuse(*_, **__):
            raise OSError(1, "no links here")

        monkeypatch.setattr(os, "link", refuse)
        real = os.replace

        def replace(source, target):
            if Path(source).name == MANIFEST and "aside" not in Path(source).parts:
                raise OSError(28, "No space left on device")
            real(source, target)

        monkeypatch.setattr(os, "replace", replace)
        with pytest.raises(UserError, match="No space left"):
            write_report(other, results, earlier / "report")
        assert snapshot(earlier) == before

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_in_the_middle_waits_until_all_is_there(
        self, other, results, earlier, monkeypatch, number
    ):
        real = os.replace
        met = []

        def replace(source, target):
            signal.raise_signal(number)
            real(source, target)

        def note(given, _):
            met.append(given)
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "replace", replace)
        before = signal.signal(number, note)
        try:
            with pytest.raises(KeyboardInterrupt):
                write_report(other, results, earlier / "report")
        finally:
            restored = signal.signal(number, before)
        assert restored is note
        assert met == [number]
        found = snapshot(earlier / "report")
        assert set(json.loads(found[MANIFEST])["files"]) | {MANIFEST} == files_of(
            earlier / "report"
        )
        assert "tables/renamed.csv" in found
        assert [path.name for path in earlier.iterdir()] == ["report"]

    @pytest.mark.usefixtures("interruptible")
    def test_a_signal_while_drawing_waits_until_the_picture_is_there(self, monkeypatch):
        """Within matplotlib it would be lost, or end as another error."""
        met = []

        def savefig(*_, **__):
            signal.raise_signal(signal.SIGINT)
            met.append("saved")

        monkeypatch.setattr(Figure, "savefig", savefig)

        @canvas.drawn
        def plot():
            signal.raise_signal(signal.SIGINT)
            met.append("drawn")
            return Figure()

        for call in (plot, lambda: plots.png_bytes(Figure())):
            with pytest.raises(KeyboardInterrupt):
                call()
        assert met == ["drawn", "saved"]

    @pytest.mark.usefixtures("interruptible")
    def test_one_more_interrupt_at_the_end_leaves_no_handler_behind(self, monkeypatch):
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = [signal.getsignal(number) for number in numbers]
        real = signal.signal
        back = []

        def restore(number, handler):
            real(number, handler)
            if handler in before:
                back.append(number)
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(signal, "signal", restore)
        with pytest.raises(KeyboardInterrupt), outputs.undisturbed():
            pass
        assert signal.SIGINT in back
        assert [signal.getsignal(number) for number in numbers] == before

    def test_interrupts_at_any_time_leave_one_whole_report(self, tmp_path):
        """Real signals at spread moments: the folder is as it was, or wholly new."""
        script = (
            "import signal, sys\n"
            # A shell's background jobs inherit that it is ignored.
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "from pathlib import Path\n"
            "from rnnbench.report import writer\n"
            "from rnnbench.results import read\n"
            "from tests.report.made import small_report\n"
            "results = read(sys.argv[1])\n"
            "report = small_report(results, title=sys.argv[3])\n"
            "writer.render_report(report, results)\n"
            "print('go', flush=True)\n"
            "while True: writer.write_report(report, results, sys.argv[2])\n"
        )
        path = write(tmp_path / "made.json", content())
        folder = tmp_path / "report"
        for turn in range(4):
            process = subprocess.Popen(
                [sys.executable, "-c", script, str(path), str(folder), f"Turn{turn}"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(),
                cwd=tmp_path,
            )
            assert process.stdout is not None
            assert process.stdout.readline() == b"go\n"
            threading.Event().wait(0.05 + 0.037 * turn)
            said = interrupted(process)
            assert process.returncode == -signal.SIGINT, said
            assert sorted(p.name for p in tmp_path.iterdir()) in (
                ["made.json"],
                ["made.json", "report"],
            )
            if folder.exists():
                assert files_of(folder) == FILES
                titles = {f"Turn{n}".encode() for n in range(4)}
                assert sum(title in (folder / "index.html").read_bytes() for title in titles) == 1


class TestWhere:
    def test_a_file_a_missing_parent_and_a_dead_link_are_refused(self, tmp_path):
        (tmp_path / "file").write_text("x")
        (tmp_path / "dead").symlink_to("nowhere")
        for name, reason in (
            ("file", "is a file; give a folder"),
            ("absent/report", "absent does not exist; make it first"),
            ("file/report", "Not a directory"),
            ("dead", "is a link to nothing"),
            ("a\x00b", "null"),
            ("x" * 300, "File name too long"),
        ):
            with pytest.raises(UserError, match=reason):
                outputs.check_output_folder(tmp_path / name)
        with pytest.raises(UserError, match="is empty; give a path"):
            outputs.check_output_file("  ")

    def test_a_folder_or_device_is_no_file_to_write(self, tmp_path):
        with pytest.raises(UserError, match="is a folder"):
            outputs.check_output_file(tmp_path)
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(UserError, match="no regular file"):
            outputs.check_output_file(tmp_path / "pipe")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_what_is_not_writable_is_refused(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(UserError, match="is not writable"):
            outputs.check_output_folder(tmp_path)
        with pytest.raises(UserError, match="is not writable"):
            outputs.check_output_folder(tmp_path / "new")

    def test_what_the_system_says_is_not_writable_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr(os, "access", lambda *_: False)
        with pytest.raises(UserError, match="is not writable; give another folder"):
            outputs.check_output_folder(tmp_path)
        with pytest.raises(UserError, match="is not writable; give another path"):
            outputs.check_output_file(tmp_path / "new.csv")

    def test_in_another_thread_signals_are_left_alone(self):
        seen = []

        def work():
            with outputs.undisturbed():
                seen.append(signal.getsignal(signal.SIGINT))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert seen == [signal.getsignal(signal.SIGINT)]
        assert writer.MANIFEST.startswith(".")
