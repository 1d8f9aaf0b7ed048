"""The command `compare` as a user runs it: what it prints, how it ends, what it refuses."""

import dataclasses
import json
import re
from pathlib import Path

import markdown_it
import pandas as pd
import pytest

from rnnbench.cli import main
from rnnbench.regressions.machine_noise import MachineNoise, load_noise, noise_path, save_noise
from rnnbench.regressions.machines import machine_key
from tests.regressions.made import NEW, OLD, case, one, only, planted, two
from tests.regressions.test_compare import sessions_apart
from tests.synthetic import environment

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run `rnnbench compare …` where no noise is known; returns status, output and errors."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["compare", *map(str, arguments)])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return ended.value.code, said.out, said.err

    return run


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file with one case of each kind; named without a folder, so that outputs can be pinned."""
    entries = planted({1: 1.0, 2: 1.1, 4: 0.9, 8: 1.0})
    entries = [
        dataclasses.replace(entry, ran={"backend": "native"})
        if (entry.case.batch, entry.case.environment) == (8, NEW)
        else entry
        for entry in entries
    ]
    gone = [entry for entry in planted({16: 1.0}) if entry.case.environment == OLD]
    missing = [(case(batch=16, environment=NEW), "failed", "RuntimeError: | <b>no</b>")]
    monkeypatch.chdir(tmp_path)
    two(Path("versions.json"), [*entries, *gone], not_measured=missing)
    return "versions.json"


def pinned(name, text):
    """Compare with the golden file; to make it anew, remove it and run the test once."""
    path = GOLDEN / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        pytest.fail(f"{name} was not there and has been made: read it, then run again")
    assert text == path.read_text(encoding="utf-8")


def rounded(value):
    """The same with seven digits of every number."""
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


class TestOutput:
    def test_the_table_has_the_news_first(self, run, file):
        status, out, _ = run(f"{file}@{OLD}", f"{file}@{NEW}")
        assert status == 0
        pinned("compare.txt", out)

    def test_markdown_is_for_a_pull_request(self, run, file):
        status, out, _ = run(f"{file}@{OLD}", f"{file}@{NEW}", "--format", "markdown")
        assert status == 0
        pinned("compare.md", out)
        html = markdown_it.MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(out)
        assert html.count("<table>") == 2 and html.count("<details>") == 1
        assert "<b>no</b>" not in html
        news, rest = html.split("<details>")
        assert news.count("<tr>") == 1 + 4 and rest.count("<tr>") == 1 + 1

    def test_json_is_for_programs(self, run, file):
        status, out, _ = run(f"{file}@{OLD}", f"{file}@{NEW}", "--format", "json")
        assert status == 0
        document = json.loads(out)
        # Another processor may round the last digits of a logarithm otherwise.
        pinned("compare.json", json.dumps(rounded(document), indent=1, ensure_ascii=False) + "\n")
        assert document["verdicts"] == {"slower": 1, "faster": 1, "same": 2, "inconclusive": 0}
        assert [entry["state"] for entry in document["cases"]] == ["compared"] * 4 + ["failing"]

    def test_csv_has_all_digits(self, run, file, tmp_path):
        _, out, _ = run(f"{file}@{OLD}", f"{file}@{NEW}", "--format", "csv")
        (tmp_path / "out.csv").write_text(out)
        frame = pd.read_csv(tmp_path / "out.csv")
        assert frame["verdict"].tolist()[:1] == ["slower"]
        _, out, _ = run(f"{file}@{OLD}", f"{file}@{NEW}", "--format", "json")
        by_batch = {entry["batch"]: entry["ratio"] for entry in json.loads(out)["cases"]}
        for batch, ratio in zip(frame["batch"], frame["ratio"], strict=True):
            assert pd.isna(ratio) if by_batch[batch] is None else ratio == by_batch[batch]

    def test_output_goes_to_a_file_and_the_headline_to_the_terminal(self, run, file, tmp_path):
        status, out, _ = run(
            f"{file}@{OLD}", f"{file}@{NEW}", "--format", "markdown", "--output", "pr.md"
        )
        assert status == 0
        assert (
            out == "1 slower, 1 faster, 1 no longer measured of 5 cases; the comparison is pr.md\n"
        )
        assert (tmp_path / "pr.md").read_text().startswith("### 1 slower, 1 faster")


class TestWithoutAnInterval:
    """Two sessions of noise that say too little for the level that is asked for."""

    @pytest.fixture
    def files(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        for session in sessions_apart(0.1):
            machine = machine_key(environment())
            save_noise((load_noise(machine) or MachineNoise(machine)).with_session(session))
        entries = planted({1: 1.5})
        return [
            one(tmp_path / f"{name}.json", only(entries, name), seed=seed)
            for seed, name in enumerate((OLD, NEW))
        ]

    RATE = ("--rate", "0.01%")

    def test_json_has_none_and_stays_json(self, run, files):
        status, out, _ = run(*files, *self.RATE, "--format", "json")
        assert status == 0
        document = json.loads(out, parse_constant=pytest.fail)
        (entry,) = document["cases"]
        assert entry["verdict"] == "inconclusive"
        assert {entry[key] for key in ("ratio_low", "ratio_high", "detectable")} == {None}

    @pytest.mark.parametrize("format_", ["table", "markdown"])
    def test_people_read_that_there_is_none(self, run, files, format_):
        status, out, _ = run(*files, *self.RATE, "--format", format_)
        assert status == 0
        assert "inconclusive" in out and "no interval" in " ".join(out.split())
        assert "no replicates" not in out, "there are eight"
        assert "No interval for the one case" in " ".join(out.split())
        assert not re.search(r"\d{12}|\binf\b|\bnan\b", out, re.IGNORECASE)

    def test_csv_has_empty_cells(self, run, files, tmp_path):
        _, out, _ = run(*files, *self.RATE, "--format", "csv")
        (tmp_path / "out.csv").write_text(out)
        frame = pd.read_csv(tmp_path / "out.csv")
        assert frame["verdict"].tolist() == ["inconclusive"]
        assert frame[["ratio_low", "ratio_high", "detectable"]].isna().all(axis=None)

    def test_at_the_usual_rate_there_is_one(self, run, files):
        _, out, _ = run(*files, "--format", "json")
        (entry,) = json.loads(out)["cases"]
        assert entry["ratio_low"] < 1 < entry["ratio_high"]


class TestStatus:
    @pytest.mark.parametrize(
        ("what", "status"),
        [("slower", 1), ("failing", 1), ("path", 1), ("missing", 0), ("inconclusive", 0)],
    )
    def test_fails_on_what_was_asked_for_alone(self, run, file, what, status):
        assert run(f"{file}@{OLD}", f"{file}@{NEW}", "--fail-on", what)[0] == status

    def test_nothing_slower_is_0(self, run, tmp_path):
        file = two(tmp_path / "same.json", planted({1: 1.0, 2: 0.9}))
        status, out, _ = run(f"{file}@{OLD}", f"{file}@{NEW}", "--fail-on", "slower")
        assert status == 0
        assert out.startswith("1 faster of 2 cases")

    def test_a_margin_can_hide_a_change(self, run, file):
        arguments = (f"{file}@{OLD}", f"{file}@{NEW}", "--fail-on", "slower")
        assert run(*arguments, "--margin", "20%")[0] == 0
        assert run(*arguments, "--margin", "0.01")[0] == 1


class TestBadInput:
    @pytest.mark.parametrize("margin", ["0", "abc", "-2%", "100%", "nan", "inf", "", "2%%"])
    def test_a_margin_that_is_no_share(self, run, file, margin):
        status, out, err = run(f"{file}@{OLD}", f"{file}@{NEW}", f"--margin={margin}")
        assert (status, out) == (2, "")
        assert "--margin" in err and "such as 2%" in err and len(err.splitlines()) == 1

    def test_different_machines(self, run, tmp_path):
        entries = planted({1: 1.0})
        slow = environment(cpu={"model": "Another CPU", "count": 2, "virtual": True})
        old = one(tmp_path / "old.json", only(entries, OLD))
        new = one(tmp_path / "new.json", only(entries, NEW), described=slow)
        status, out, err = run(old, new)
        assert (status, out) == (2, "")
        assert "processor: Synthetic CPU and Another CPU" in err
        status, out, _ = run(old, new, "--across-machines")
        assert status == 0
        assert (
            "Different machines or settings (processor Synthetic CPU and Another CPU)"
            in " ".join(out.split())
        )

    def test_other_threads_are_refused_with_all_that_differs(self, run, tmp_path):
        described = [
            environment(
                cpu={"model": "Synthetic CPU", "count": 2, "flags": flags},
                devices={"cuda": {"devices": [{"name": "H100"}], "driver": [driver]}},
            )
            for flags, driver in (
                (["avx2"], {"driver_version": "580.1"}),
                (["avx2", "amx_bf16"], {"driver_version": "590.2"}),
            )
        ]
        old, new = (
            one(
                tmp_path / f"{name}.json",
                planted({1: 1.0, 2: 1.0}, environments=(name,), threads=threads),
                described=of,
            )
            for name, threads, of in zip((OLD, NEW), (1, 2), described)
        )
        for options in ((), ("--across-machines",)):
            status, out, err = run(old, new, *options)
            assert (status, out) == (2, "")
            assert len(err.splitlines()) == 1
            assert "no case is in both old and new" in err
            assert "; they differ in CPU features: avx2 and avx2, amx_bf16; " in err
            assert "GPU driver and power limit: 580.1, None and 590.2, None; " in err
            assert "threads: 1 in base, 2 in new. Measure the same grid" in err

    def test_threads_alone_are_named_too(self, run, tmp_path):
        old, new = (
            one(tmp_path / f"{name}.json", planted({1: 1.0}, environments=(name,), threads=count))
            for count, name in enumerate((OLD, NEW), start=1)
        )
        status, out, err = run(old, new)
        assert (status, out) == (2, "")
        assert "they differ in threads: 1 in base, 2 in new." in err

    def test_files_with_no_common_case(self, run, tmp_path):
        old = one(tmp_path / "old.json", only(planted({1: 1.0}), OLD))
        new = one(tmp_path / "new.json", only(planted({2: 1.0}), NEW))
        status, _, err = run(old, new)
        assert status == 2 and "no case is in both" in err

    def test_a_missing_file(self, run, file):
        status, _, err = run("nothing.json", f"{file}@{NEW}")
        assert status == 2 and "nothing.json" in err

    def test_an_output_that_would_replace_an_input(self, run, file):
        before = Path(file).read_bytes()
        status, _, err = run(f"{file}@{OLD}", f"{file}@{NEW}", "--output", file)
        assert status == 2 and "--output" in err
        assert Path(file).read_bytes() == before

    def test_a_broken_record_of_noise(self, run, file, tmp_path):
        path = noise_path(machine_key(environment(torch="2.13.0+cpu")))
        assert path.is_relative_to(tmp_path)
        path.parent.mkdir(parents=True)
        path.write_text('{"format": 1, "sessions": 3')
        status, _, err = run(f"{file}@{OLD}", f"{file}@{NEW}")
        assert status == 2 and "no record of noise" in err
