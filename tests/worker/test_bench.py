"""The bench: one setting at a time, each pass verified before it is timed, weights as they were."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from rnnbench import implementations
from rnnbench.cases import Case
from rnnbench.schema import PASSES
from rnnbench.worker import bench as bench_module
from rnnbench.worker import compilation
from rnnbench.worker.bench import Bench, why_no_device
from rnnbench.worker.verification import Incorrect

CASE = Case(seq_len=3, batch=2, input_size=3, hidden_size=4, implementation="python_loop")


@pytest.fixture(autouse=True)
def _registry(monkeypatch):
    implementations.load_builtin()
    monkeypatch.setattr(implementations, "_registry", dict(implementations._registry))


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture
def count_oracles(monkeypatch):
    asked = []
    real = bench_module.expected_of
    monkeypatch.setattr(bench_module, "expected_of", lambda *a: (asked.append(a[0]), real(*a))[1])
    return asked


def of(**columns) -> Case:
    return dataclasses.replace(CASE, **columns)


class TestSettings:
    def test_passes_of_one_setting_share_a_layer_and_an_oracle(self, bench, count_oracles):
        for pass_ in PASSES:
            bench.prepare(of(pass_=pass_))
        assert len(count_oracles) == 1
        layers = {id(timed.model) for timed in bench._timed.values()}
        assert len(layers) == 1

    def test_competitors_share_an_oracle_and_have_weights_of_their_own(self, bench, count_oracles):
        bench.prepare(CASE)
        bench.prepare(of(implementation="hoisted_loop"))
        assert len(count_oracles) == 1
        one, other = (timed.leaves[2:] for timed in bench._timed.values())
        for mine, theirs in zip(one, other, strict=True):
            assert torch.equal(mine, theirs)
            assert mine.data_ptr() != theirs.data_ptr()

    def test_another_setting_drops_all_that_the_last_one_held(self, bench, count_oracles):
        import weakref

        bench.prepare(CASE)
        layer = weakref.ref(next(iter(bench._timed.values())).model)
        data = weakref.ref(bench._settings[CASE.setting].data)
        longer = of(seq_len=5)
        bench.prepare(longer)
        assert layer() is None
        assert data() is None
        assert list(bench._timed) == [longer]
        assert [case.seq_len for case in count_oracles] == [3, 5]

    def test_finishing_drops_the_cases_and_keeps_the_setting(self, bench, count_oracles):
        bench.prepare(CASE)
        assert bench.finish() == 0
        assert bench._timed == {}
        bench.prepare(of(pass_="backward"))
        assert len(count_oracles) == 1

    def test_threads_are_the_cases_own(self, bench):
        before = torch.get_num_threads()
        try:
            two = of(threads=2)
            bench.prepare(CASE)
            bench.prepare(two)
            assert torch.get_num_threads() == 2
            bench.prepare(CASE)
            bench.block(CASE, 1e-3, 1)
            assert torch.get_num_threads() == 1
        finally:
            torch.set_num_threads(before)


class TestTrainingStep:
    def test_the_step_is_verified_and_undone(self, bench):
        case = of(pass_="training_step")
        prepared = bench.prepare(case)
        steps = [
            name for name in prepared["verification"]["error"] if name.endswith("after a step")
        ]
        assert len(steps) == 4
        timed = bench._timed[case]
        for weight, original in zip(
            timed.leaves[2:], bench._settings[case.setting].data.weights, strict=True
        ):
            assert torch.allclose(weight, original, rtol=0, atol=1e-6)
        assert timed.optimizer.param_groups[0]["lr"] == bench_module_rate()

    def test_other_passes_have_no_step(self, bench):
        errors = bench.prepare(of(pass_="forward_backward"))["verification"]["error"]
        assert not [name for name in errors if "step" in name]

    def test_a_layer_whose_step_goes_elsewhere_is_refused(self, bench, monkeypatch):
        """Its gradients are right, and the optimizer moves a copy."""
        from rnnbench.workloads._optimizers import SGD
        from rnnbench.workloads.layer import WORKLOAD

        def elsewhere(weights, rate):
            return SGD.make([w.detach().clone().requires_grad_() for w in weights], rate)

        real, rule = WORKLOAD.model, dataclasses.replace(SGD, make=elsewhere)
        monkeypatch.setattr(
            WORKLOAD, "model", lambda *given: dataclasses.replace(real(*given), rule=rule)
        )
        with pytest.raises(Incorrect, match="after a step"):
            bench.prepare(of(pass_="training_step"))


def bench_module_rate() -> float:
    from rnnbench.workloads._passes import TIMED_LEARNING_RATE

    return TIMED_LEARNING_RATE


class TestCellsAndOptions:
    @pytest.mark.parametrize("implementation", ["nn_rnn", "hoisted_loop"])
    @pytest.mark.parametrize(
        "columns",
        [
            {"cell": "lstm"},
            {"cell": "gru", "bias": False},
            {"cell": "lstm", "initial_state": "zero"},
            {"cell": "gru", "num_layers": 2, "dropout": 0.5},
            {"cell": "lstm", "dtype": "autocast_bfloat16"},
        ],
        ids=str,
    )
    def test_each_is_prepared_with_all_that_can_be_verified(self, bench, implementation, columns):
        case = of(implementation=implementation, pass_="training_step", **columns)
        reason = bench.unsupported(case)
        if reason and case.dtype != "float32" and implementation == "nn_rnn":
            pytest.skip(reason)  # an LSTM under autocast on some processors
        assert reason is None
        errors = bench.prepare(case)["verification"]["error"]
        finals = {"h_n", "c_n"} if case.cell == "lstm" else {"h_n"}
        states = set() if case.initial_state == "zero" else {name[0] + "0" for name in finals}
        assert {"output", "x", "weight_hh_l0", "weight_hh_l0 after a step"} <= set(errors)
        assert finals | states <= set(errors)
        assert ("bias_hh_l0" in errors) == case.bias
        assert bench.block(case, 1e-3, 1).rounds

    def test_masks_are_fixed_where_results_are_verified_and_not_where_they_are_timed(self, bench):
        case = of(num_layers=2, dropout=0.5, pass_="forward", hidden_size=16)
        bench.prepare(case)
        timed = bench._timed[case]
        one, other = (timed.run(None)[0] for _ in range(2))
        assert not torch.equal(one, other)

    def test_an_autocast_that_this_version_lacks_is_unsupported(self, bench, monkeypatch):
        monkeypatch.setattr(bench_module, "why_no_autocast", lambda case: "no autocast here")
        assert bench.unsupported(of(dtype="autocast_float16")) == "no autocast here"


class TestIterations:
    def test_they_are_found_here_or_given(self, bench, monkeypatch):
        monkeypatch.setattr(bench_module, "calibrate", lambda timed, clock, resolutions: 17)
        assert bench.prepare(CASE)["iterations"] == 17
        assert bench.prepare(CASE, iterations=5)["iterations"] == 5


class TestVerifiedOnce:
    def test_each_layer_is_verified_once_for_all_its_passes(self, bench, monkeypatch):
        verified = []
        real = bench_module.verify
        monkeypatch.setattr(
            bench_module,
            "verify",
            lambda case, *a: (verified.append(case.pass_), real(case, *a))[1],
        )
        for pass_ in PASSES:
            bench.prepare(of(pass_=pass_))
        assert verified == ["inference", "forward_backward"]

    @pytest.mark.parametrize("pass_", PASSES)
    def test_the_record_holds_output_state_and_every_gradient(self, bench, pass_):
        verification = bench.prepare(of(pass_=pass_))["verification"]
        names = {"output", "h_n", "x", "h0", "weight_ih_l0", "weight_hh_l0", "bias_ih_l0"}
        assert names <= set(verification["error"])
        for name in names:
            assert 0 <= verification["error"][name] <= verification["tolerance"][name]

    def test_one_that_computes_no_gradients_says_so(self, bench):
        def build(case, weights):
            step = implementations.one_step(case)
            return implementations.stacked(case, weights, implementations.step_by_step(step))

        implementations.implementation("forward_only", "x", trains=False)(build)
        case = of(implementation="forward_only", pass_="inference")
        verification = bench.prepare(case)["verification"]
        assert set(verification["error"]) == {"output", "h_n"}
        assert "computes no gradients" in verification["gradients_not_checked"]


class TestSettling:
    """How often a layer is called before it is timed: a model's forward is counted."""

    def calls(self, bench, monkeypatch, name, **given) -> int:
        count = [0]
        made = implementations.registered()[name].build

        def build(case, weights):
            layer = made(case, weights)

            def counted(*inputs):
                count[0] += 1
                return layer(*inputs)

            return counted

        found = dataclasses.replace(implementations.registered()[name], build=build)
        monkeypatch.setitem(implementations._registry, name, found)
        bench.prepare(of(implementation=name, pass_="inference"), **given)
        return count[0]

    def test_an_eager_one_is_the_same_in_every_call(self, bench, monkeypatch):
        assert self.calls(bench, monkeypatch, "python_loop", iterations=1) == 2

    @pytest.mark.parametrize("name", ["torchscript_cell", "torchscript_loop"])
    def test_a_compiled_one_is_verified_in_its_third_call(self, bench, monkeypatch, name):
        calls = self.calls(bench, monkeypatch, name, iterations=1)
        assert calls > 6, "three for each of two verifications, and those that settle the pass"

    def test_a_users_may_be_another_program_later(self, bench, monkeypatch):
        build = implementations.registered()["python_loop"].build
        implementations.implementation("users", "x")(build)
        assert self.calls(bench, monkeypatch, "users", iterations=1) > 6

    def test_a_fast_path_of_a_users_that_is_wrong_is_refused(self, bench):
        def build(case, weights):
            layer = implementations.registered()["python_loop"].build(case, weights)
            seen = [0]

            def soon_wrong(*inputs):
                seen[0] += 1
                output, h_n = layer(*inputs)
                return (output, h_n) if seen[0] < 3 else (output + 1, h_n)

            return soon_wrong

        implementations.implementation("soon_wrong", "x")(build)
        with pytest.raises(Incorrect, match="output"):
            bench.prepare(of(implementation="soon_wrong", pass_="inference"))


class TestCompileRecord:
    """With a compiler that is made up, so that seconds of compilation are not spent here."""

    @pytest.fixture
    def compiles(self, monkeypatch):
        graphs = iter([compilation.Graphs(k, k, {"why": k}) for k in range(0, 400, 2)])
        monkeypatch.setattr(compilation, "graphs_so_far", lambda: next(graphs))
        started = []
        monkeypatch.setattr(
            compilation, "start_compiler", lambda cache, device: started.append(device) or 1.5
        )
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
        monkeypatch.setenv("TRITON_CACHE_DIR", "")

        def build(case, weights):
            step = implementations.one_step(case)
            return implementations.stacked(case, weights, implementations.step_by_step(step))

        implementations.implementation("made_up", "x", compiler="inductor")(build)
        return started

    @pytest.mark.parametrize(
        ("pass_", "calls"),
        [
            ("inference", {"build", "inference"}),
            ("forward", {"build", "forward"}),
            ("backward", {"build", "forward", "backward"}),
            ("forward_backward", {"build", "forward", "backward"}),
            ("training_step", {"build", "forward", "backward"}),
        ],
    )
    def test_a_pass_is_charged_with_the_first_calls_that_it_needs(
        self, bench, compiles, pass_, calls
    ):
        record = bench.prepare(of(implementation="made_up", pass_=pass_))["compile"]
        assert set(record["parts"]) == calls
        assert record["seconds"] == pytest.approx(sum(record["parts"].values()))
        assert record["compiler_start"] == 1.5

    def test_the_cache_is_cold_for_the_first_process_and_warm_for_the_next(
        self, bench, compiles, tmp_path
    ):
        case = of(implementation="made_up")
        assert bench.prepare(case)["compile"]["warm_cache"] is False
        assert Bench(tmp_path).prepare(case)["compile"]["warm_cache"] is True

    def test_the_compiler_is_started_once_for_a_device(self, bench, compiles):
        bench.prepare(of(implementation="made_up"))
        bench.prepare(of(implementation="made_up", seq_len=5))
        assert compiles == ["cpu"]

    def test_graphs_that_appear_after_the_first_block_began_are_recompilations(
        self, bench, compiles
    ):
        case = of(implementation="made_up")
        bench.prepare(case)
        bench.describe(case)
        bench.block(case, 0.001, 1)
        assert bench.finish() == 2

    def test_graphs_of_preparing_and_describing_are_none(self, bench, compiles):
        case = of(implementation="made_up")
        bench.prepare(case)
        bench.describe(case)
        assert bench.finish() == 0

    def test_another_compiler_pays_for_no_start_of_inductors(self, bench, compiles):
        real = implementations.registered()["made_up"].build
        implementations.implementation("scripted", "x", compiler="torchscript")(real)
        record = bench.prepare(of(implementation="scripted"))["compile"]
        assert record["compiler"] == "torchscript"
        assert record["compiler_start"] is None
        assert compiles == []

    def test_what_the_tracer_did_stands_in_the_description(self, bench, compiles):
        case = of(implementation="made_up")
        bench.prepare(case)
        told = bench.describe(case)
        assert told["graphs"] > 0
        assert list(told["breaks"]) == ["why"]
        assert told["backend"] == "inductor+eager"


@pytest.mark.slow
def test_a_real_compilation_is_recorded_as_what_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    monkeypatch.setenv("TRITON_CACHE_DIR", "")
    case = of(implementation="compiled_loop", pass_="inference", seq_len=2)
    bench = Bench(tmp_path)
    reason = bench.unsupported(case)
    if reason is not None:
        pytest.skip(f"here: {reason}")
    record = bench.prepare(case)["compile"]
    assert record["warm_cache"] is False
    assert record["seconds"] > record["parts"]["inference"] > 0
    assert record["compiler_start"] > 0
    told = bench.describe(case)
    assert told["backend"] == "inductor"
    assert told["graphs"] >= 1
    assert told["breaks"] == {}
    assert bench.block(case, 1e-3, 1).rounds
    assert bench.finish() == 0, "a block of the same shapes compiles nothing"


class TestDevices:
    def test_a_cpu_is_always_there(self):
        assert why_no_device("cpu") is None

    def test_an_unknown_word_is_no_device(self):
        assert why_no_device("nonsense") == f"PyTorch {torch.__version__} knows no device nonsense"

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
    def test_one_that_is_not_found_is_refused(self):
        assert why_no_device("cuda") == f"PyTorch {torch.__version__} finds no cuda device here"

    def test_one_beyond_those_that_there_are_is_refused(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        assert why_no_device("cuda") is None
        assert why_no_device("cuda:1") is None
        assert why_no_device("cuda:2") == "there is no cuda:2: 2 cuda device(s) found"

    @pytest.mark.parametrize("available", [True, False])
    def test_mps_is_asked_where_its_module_cannot_say(self, monkeypatch, available):
        monkeypatch.setattr(torch, "mps", SimpleNamespace(device_count=lambda: 1))
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: available)
        assert (why_no_device("mps") is None) is available
