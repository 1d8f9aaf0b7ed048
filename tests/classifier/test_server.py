"""What the training process answers: results, or a status and a reason, never a traceback."""

import dataclasses
from types import SimpleNamespace

import pytest

from rnnbench import implementations
from rnnbench.classifier import server as server_module
from rnnbench.classifier.process import _server
from rnnbench.classifier.server import TrainingServer, best_device
from rnnbench.classifier.settings import PARTS, Settings
from rnnbench.cores import usable_cores

SMALL = Settings(samples=50, held_out=40, batch=16, seq_len=6, hidden=4)


@pytest.fixture(autouse=True)
def _registry(monkeypatch):
    implementations.load_builtin()
    monkeypatch.setattr(implementations, "_registry", dict(implementations._registry))
    # Its process is frozen after each preparation; this one has other tests to run.
    monkeypatch.setattr(
        server_module, "gc", SimpleNamespace(collect=lambda: 0, freeze=lambda: None)
    )


@pytest.fixture
def ask(tmp_path):
    server = TrainingServer()

    def ask(op, **fields):
        return server.handle({"op": op, "cores": [], **fields})

    ask.hello = ask("hello", cache=str(tmp_path))["result"]

    def prepare(name="a", **changes):
        settings = dataclasses.replace(SMALL, **changes)
        return ask("prepare", name=name, settings=settings.columns(), all_cores=[])

    ask.prepare = prepare
    return ask


def test_it_says_where_it_runs_and_which_device_is_best(ask):
    assert ask.hello["best_device"] == best_device()
    assert {"torch", "cpu", "devices"} <= set(ask.hello["environment"])


def test_the_best_device_is_a_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(server_module, "why_no_device", lambda name: None)
    assert best_device() == "cuda"
    monkeypatch.setattr(server_module, "why_no_device", lambda name: "there is none")
    assert best_device() == "cpu"


def test_preparing_tells_of_errors_and_seconds(ask):
    found = ask.prepare()["result"]
    assert set(found["seconds"]) == {"build", "first_steps"}
    assert set(found["verification"]["error"]) == set(found["verification"]["tolerance"])
    assert (found["compiler"], found["graphs"], found["compiler_start"]) == ("", None, None)


def test_trainings_by_name_do_not_touch_each_other(ask):
    ask.prepare("a")
    ask.prepare("b")
    first = ask("epoch", name="a")["result"]
    ask("epoch", name="a")
    other = ask("epoch", name="b")["result"]
    assert (first["loss"], first["accuracy"]) == (other["loss"], other["accuracy"])


def test_both_ways_of_an_epoch(ask):
    ask.prepare()
    both = ask("both", name="a", split_first=True)["result"]
    assert both["whole"]["parts"] is None
    assert list(both["split"]["parts"]) == list(PARTS)
    assert both["whole"]["loss"] == both["split"]["loss"]


def test_every_turn_is_the_same_work(ask):
    ask.prepare()
    first = ask("epoch", name="a")["result"]
    turn = ask("turn", name="a", epochs=3)["result"]
    assert len(turn["seconds"]) == 3 and min(turn["seconds"]) > 0
    ask("turn", name="a", epochs=1)
    second = ask("epoch", name="a")["result"]
    assert second["loss"] < first["loss"], "after a turn of one epoch comes the second"


def test_accuracies(ask):
    ask.prepare()
    found = ask("evaluate", name="a")["result"]
    assert set(found) == {"training", "held_out", "unseen", "unseen_sequences"}


def test_it_runs_on_the_cores_that_it_is_told(ask, monkeypatch):
    moved = []
    monkeypatch.setattr(server_module, "run_on", lambda cores: moved.append(cores) or cores)
    settings, cores = SMALL.columns(), list(usable_cores())
    ask("prepare", name="a", settings=settings, all_cores=cores)
    ask("epoch", name="a", cores=[cores[-1]])
    ask("epoch", name="a", cores=[cores[-1]])
    assert moved == ([cores, [cores[-1]]] if len(cores) > 1 else [cores])


class TestRefused:
    def test_what_an_implementation_cannot_do_is_unsupported(self, ask):
        found = ask.prepare(implementation="aot_inductor")
        assert found["status"] == "unsupported"
        assert "computes no gradients" in found["reason"]

    def test_a_cuda_graph_needs_batches_of_one_size(self, ask, monkeypatch):
        graph = implementations.registered()["cuda_graph"]
        anywhere = dataclasses.replace(graph, check=lambda case: None)
        monkeypatch.setitem(implementations._registry, "cuda_graph", anywhere)
        found = ask.prepare(implementation="cuda_graph")
        assert found["status"] == "unsupported"
        assert "the last batch has 2 of 16 sequences; choose --samples" in found["reason"]

    def test_a_model_cannot_be_compiled_where_a_layer_cannot(self, ask, monkeypatch):
        layer = implementations.registered()["compiled_nn_rnn"]
        nowhere = dataclasses.replace(layer, check=lambda case: "there is no C++ compiler")
        monkeypatch.setitem(implementations._registry, "compiled_nn_rnn", nowhere)
        found = ask.prepare(compile=True)
        assert (found["status"], found["reason"]) == ("unsupported", "there is no C++ compiler")
        assert "result" in ask.prepare()

    def test_a_device_that_is_not_here_is_the_users_to_change(self, ask):
        found = ask.prepare(device="nowhere")
        assert found["status"] == "user_error"
        assert found["reason"].startswith("--device nowhere: ")

    def test_a_wrong_one_gets_no_number(self, ask, monkeypatch):
        nn_rnn = implementations.registered()["nn_rnn"]

        def wrong(case, weights):
            layer = nn_rnn.build(case, weights)

            def off(x, h0):
                output, h_n = layer(x, h0)
                return output, h_n + 1e-3

            off.weights = layer.weights
            return off

        monkeypatch.setitem(
            implementations._registry, "nn_rnn", dataclasses.replace(nn_rnn, build=wrong)
        )
        found = ask.prepare()
        assert found["status"] == "incorrect"
        assert "the oracle says" in found["reason"]
        assert ask("epoch", name="a")["status"] == "failed", "it was not kept"

    def test_a_compiler_that_refuses_is_unsupported_and_an_error_elsewhere_is_failed(
        self, ask, monkeypatch
    ):
        def refuse(case, weights):
            raise RuntimeError("torch.compile is not supported on this Python")

        for name, status in (("compiled_loop", "unsupported"), ("python_loop", "failed")):
            found = dataclasses.replace(implementations.registered()[name], build=refuse)
            monkeypatch.setitem(implementations._registry, name, found)
            monkeypatch.setattr(server_module.compilation, "start_compiler", lambda *_: 0.5)
            assert ask.prepare(implementation=name)["status"] == status

    def test_a_ctrl_c_is_no_answer(self, ask, monkeypatch):
        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(server_module, "Training", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ask.prepare()


@pytest.mark.slow
def test_a_compiled_model_tells_of_its_graphs(ask):
    found = ask.prepare(compile=True, implementation="hoisted_loop")
    assert "result" in found, found
    assert found["result"]["graphs"]["graphs"] >= 1
    assert found["result"]["compiler_start"] > 0
    assert found["result"]["warm_cache"] is False
    assert "result" in ask("epoch", name="a")


def test_its_process_serves_it():
    assert isinstance(_server(), TrainingServer)
