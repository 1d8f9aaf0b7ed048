"""Progress: rich where it is there, plain where not, nothing where the output is no terminal."""

import builtins
import io
import re

import pytest

from rnnbench.measuring.progress import Plain, Rich, Silent, make_progress, time_left


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def without_rich(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name.split(".")[0] == "rich":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class TestChoice:
    def test_silent_where_the_output_is_no_terminal(self, capsys):
        stream = io.StringIO()
        progress = make_progress(stream)
        assert isinstance(progress, Silent)
        progress.start()
        progress.update(1, 2, "timing x")
        progress.stop()
        assert stream.getvalue() == ""
        assert isinstance(make_progress(), Silent), "pytest's captured output is no terminal"

    def test_rich_where_it_is_installed(self):
        pytest.importorskip("rich", reason="rich is not installed")
        assert isinstance(make_progress(Terminal()), Rich)

    @pytest.mark.usefixtures("without_rich")
    def test_plain_where_rich_is_not_installed(self):
        assert isinstance(make_progress(Terminal()), Plain)


class TestTimeLeft:
    @pytest.mark.parametrize(
        ("elapsed", "done", "total", "says"),
        [
            (10, 0, 10, ""),
            (1.9, 5, 10, ""),
            (2, 5, 10, "about 2 s left"),
            (10, 10, 10, "about 1 s left"),
            (89, 1, 2, "about 89 s left"),
            (90, 1, 2, "about 2 min left"),
            (600, 1.5, 3, "about 10 min left"),
            (3600, 1, 3, "about 2.0 h left"),
        ],
    )
    def test_the_rest_takes_as_long_as_its_share(self, elapsed, done, total, says):
        assert time_left(elapsed, done, total) == says


class TestPlain:
    def test_one_line_is_written_over_and_cleared_in_the_end(self):
        stream, clock = Terminal(), Clock()
        progress = Plain(stream, clock)
        progress.start()
        clock.now += 10
        progress.update(2.5, 10, "timing a")
        clock.now += 10
        progress.update(5, 10, "timing b")
        progress.stop()
        clear = "\r\x1b[2K"
        assert stream.getvalue().split(clear) == [
            "\n",
            "2/10 cases  about 30 s left  timing a",
            "5/10 cases  about 20 s left  timing b",
            "",
        ]

    def test_it_is_not_redrawn_for_every_block(self):
        stream, clock = Terminal(), Clock()
        progress = Plain(stream, clock)
        for step in range(10):
            clock.now += 0.0625
            progress.update(step, 10, "x")
        assert stream.getvalue().count("cases") == 3

    def test_a_long_name_stays_on_its_line(self):
        stream = Terminal()
        Plain(stream, Clock()).update(1, 2, "y" * 500)
        assert len(stream.getvalue()) == 120


class TestRich:
    @pytest.fixture(autouse=True)
    def _needs_rich(self):
        pytest.importorskip("rich", reason="rich is not installed")

    def test_it_shows_count_time_and_what(self):
        stream, clock = Terminal(), Clock()
        progress = Rich(stream, clock)
        progress.start()
        clock.now += 10
        progress.update(2.5, 10, "timing a")
        progress.stop()
        shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
        assert "2/10" in shown
        assert "about 30 s left" in shown
        assert "timing a" in shown

    def test_no_thread_draws_it(self):
        progress = Rich(Terminal(), Clock())
        progress.start()
        assert progress._bar.live._refresh_thread is None
        progress.stop()

    def test_it_is_not_redrawn_for_every_block(self):
        stream, clock = Terminal(), Clock()
        progress = Rich(stream, clock)
        progress.start()
        progress.update(1, 10, "first")
        clock.now += 0.1
        progress.update(2, 10, "second")
        clock.now += 0.2
        progress.update(3, 10, "third")
        progress.stop()
        assert "second" not in stream.getvalue()
        assert "third" in stream.getvalue()
