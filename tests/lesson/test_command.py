"""`rnnbench classifier` as a user runs it, small: what it prints, writes and refuses."""

import io
import json
import sys
from pathlib import Path

import pytest

from rnnbench.classifier.settings import PARTS
from rnnbench.cli import main

TINY = ("--samples", "200", "--epochs", "2", "--device", "cpu", "--no-lock")


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Run the command in this process; the training has its own. Returns status and output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["classifier", *arguments])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def curve(file: str) -> list[tuple[float, ...]]:
    keys = ("loss", "accuracy", "training_accuracy", "held_out_accuracy")
    return [tuple(e[key] for key in keys) for e in json.loads(Path(file).read_text())["epochs"]]


class TestTraining:
    def test_it_prints_epochs_and_parts_and_writes_both_files(self, run):
        status, out, err = run(*TINY, "--json", "a.json", "--plot", "a.png")
        assert (status, err) == (0, "")
        assert (
            "label 1 where more than half are ones: 200 to train on in batches of 32"
            in " ".join(out.split())
        )
        assert "On cpu with 1 thread, PyTorch" in " ".join(out.split())
        for part in PARTS:
            assert f"\n{part} " in out
        assert "did not reach 0.99 in 2 epochs" in out
        document = json.loads(Path("a.json").read_text())
        assert [epoch["epoch"] for epoch in document["epochs"]] == [1, 2]
        for epoch in document["epochs"]:
            assert 0 < epoch["loss"] < 2 and 0 <= epoch["accuracy"] <= 1
            assert epoch["seconds"] > 0
            assert list(epoch["parts"]) == list(PARTS)
            assert 0.97 < sum(epoch["parts"].values()) / epoch["split_seconds"] <= 1
        assert document["settings"]["samples"] == 200
        assert document["environment"]["torch"]
        errors, tolerances = (
            document["prepared"]["verification"][k] for k in ("error", "tolerance")
        )
        assert all(errors[name] <= tolerances[name] for name in errors)
        assert Path("a.png").read_bytes().startswith(b"\x89PNG")
        assert sorted(path.name for path in Path().iterdir()) == ["a.json", "a.png"]

    def test_the_same_seed_gives_the_same_curve(self, run):
        run(*TINY, "--seed", "3", "--json", "a.json")
        run(*TINY, "--seed", "3", "--json", "b.json")
        run(*TINY, "--seed", "4", "--json", "c.json")
        assert curve("a.json") == curve("b.json") != curve("c.json")

    def test_several_seeds_are_counted_and_drawn(self, run):
        status, out, _ = run(*TINY, "--seeds", "2", "--json", "a.json", "--plot", "a.svg")
        assert status == 0
        assert "Within 2 epochs, 0 of 2 seeds reached an accuracy of 0.99" in " ".join(out.split())
        document = json.loads(Path("a.json").read_text())
        assert [one["settings"]["seed"] for one in document["seeds"]] == [0, 1]
        assert document["epochs"] == document["seeds"][0]["epochs"]
        assert document["epochs"][0]["parts"] is None
        assert Path("a.svg").read_text().startswith("<svg")

    def test_without_a_device_it_takes_and_names_the_best_one(self, run):
        given = [argument for argument in TINY if argument not in ("--device", "cpu")]
        status, out, _ = run(*given, "--json", "a.json")
        device = json.loads(Path("a.json").read_text())["settings"]["device"]
        assert status == 0
        assert f"On {device} with 1 thread" in " ".join(out.split())

    def test_tables_as_markdown(self, run):
        _, out, _ = run(*TINY, "--format", "markdown")
        assert "| epoch | loss | accuracy |".replace(" |", "") in out.replace(" |", "")

    def test_a_terminal_sees_a_bar_with_loss_and_accuracy(self, run, monkeypatch):
        class Terminal(io.StringIO):
            def isatty(self):
                return True

        terminal = Terminal()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", terminal)
            with pytest.raises(SystemExit):
                main(["classifier", *TINY])
        assert "seed 0, loss 0." in terminal.getvalue()


class TestVariants:
    def test_each_has_a_ratio_with_its_interval_or_a_reason(self, run):
        status, out, err = run(
            *TINY,
            "--variants",
            *("--only", "per_sample,aot_inductor", "--processes", "2", "--turns", "1"),
            *("--turn-epochs", "2", "--seq-len", "5,8", "--json", "v.json"),
        )
        assert (status, err) == (0, "")
        assert out.count("aot_inductor is unsupported: aot_inductor computes no gradients") == 2
        document = json.loads(Path("v.json").read_text())
        assert document["complete"] is True
        assert [group["seq_len"] for group in document["lengths"]] == [5, 8]
        for group in document["lengths"]:
            plain, made, aot = group["variants"]
            assert [one["name"] for one in (plain, made, aot)] == [
                "plain",
                "per_sample",
                "aot_inductor",
            ]
            assert made["ratio"]["low"] <= made["ratio"]["ratio"] <= made["ratio"]["high"]
            assert [[len(block) for block in blocks] for blocks in made["blocks"]] == [[2], [2]]
            assert plain["ratio"]["ratio"] == 1
            assert (aot["status"], aot["ratio"]) == ("unsupported", None)


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--samples", "0"), "--samples is 0; an empty dataset teaches nothing"),
            (("--seq-len", "0"), "--seq-len is 0; a sequence has at least one step"),
            (("--seq-len", "ten"), "--seq-len is 'ten'; give a whole number of 1 or more"),
            (("--seq-len", "10,20"), "--seq-len is '10,20'; several lengths need --variants"),
            (("--seeds", "0"), "--seeds is 0; give 1 or more"),
            (("--epochs", "0"), "--epochs is 0; give 1 or more"),
            (("--timeout", "0"), "--timeout is 0; give seconds above 0"),
            (("--only", "per_sample"), "--only chooses among variants; give --variants as well"),
            (("--variants", "--only", "fast"), "--only holds 'fast', which is no variant"),
            (("--variants", "--plot", "a.png"), "--plot belongs to plain trainings"),
            (("--variants", "--seeds", "2"), "--seeds belongs to plain trainings"),
            (("--plot", "a.jpg"), "--plot a.jpg: its ending names no picture; give .png or .svg"),
            (("--json", "no/a.json"), "--json no/a.json: its parent no does not exist"),
            (("--python", "no-python"), "--python default: 'no-python' is not a program"),
        ],
    )
    def test_it_is_one_line_before_anything_starts(self, run, monkeypatch, arguments, said):
        from rnnbench.lesson import trainer

        monkeypatch.setattr(trainer, "ProcessWorker", None)
        status, out, err = run(*arguments)
        assert (status, out) == (2, "")
        assert err.startswith(f"rnnbench: {said}")
        assert err.count("\n") == 1

    def test_a_device_that_is_not_here(self, run):
        status, out, err = run(*TINY, "--device", "nowhere")
        assert (status, out) == (2, "")
        assert err.startswith("rnnbench: --device nowhere: ")
        assert err.count("\n") == 1

    def test_an_implementation_that_cannot_train(self, run):
        status, _, err = run(*TINY, "--implementation", "aot_inductor", "--json", "a.json")
        assert status == 2
        assert err == (
            "rnnbench: aot_inductor cannot be trained here, unsupported: aot_inductor computes no "
            "gradients; use the inference pass\n"
        )
        assert not Path("a.json").exists()


@pytest.mark.slow
def test_the_course_s_classifier_learns_for_most_seeds(run):
    status, _, _ = run("--seeds", "20", "--device", "cpu", "--no-lock", "--json", "a.json")
    assert status == 0
    seeds = json.loads(Path("a.json").read_text())["seeds"]

    def got_there(column):
        return sum(any(e[column] >= 0.99 for e in seed["epochs"]) for seed in seeds)

    assert got_there("accuracy") >= 18
    assert got_there("held_out_accuracy") >= 18
