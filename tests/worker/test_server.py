"""The server: requests in, results or a status with a reason out, whatever a case does."""

import dataclasses
import gc
import itertools
import os
from importlib import metadata

import pytest
import torch

from rnnbench import implementations
from rnnbench.cases import Case
from rnnbench.errors import UserError
from rnnbench.schema import NOT_MEASURED
from rnnbench.worker import process, server
from rnnbench.worker.server import Server, failure, load_plugin
from rnnbench.worker.verification import Incorrect

CASE = Case(seq_len=3, batch=2, input_size=3, hidden_size=4, implementation="python_loop")


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """Implementations that a test registers are gone after it."""
    implementations.load_builtin()
    monkeypatch.setattr(implementations, "_registry", dict(implementations._registry))


@pytest.fixture(autouse=True)
def _cores():
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    yield
    if before is not None:
        process.run_on(before)


@pytest.fixture
def hello(tmp_path):
    return {"op": "hello", "plugins": [], "cache": str(tmp_path), "devices": ["cpu"],
            "in_process": True}  # fmt: skip


@pytest.fixture
def ready(hello):
    ready = Server()
    assert "result" in ready.handle(hello)
    return ready


def prepare(columns, cores=()):
    return {"op": "prepare", "case": columns, "all_cores": list(cores)}


def compiler_error(text=""):
    return type("Refusal", (Exception,), {"__module__": "torch._dynamo.exc"})(text)


class TestFailure:
    @pytest.mark.parametrize(
        ("error", "compiles", "status", "reason"),
        [
            (UserError("mend it"), False, "user_error", "mend it"),
            (Incorrect("output[0] is 1"), True, "incorrect", "output[0] is 1"),
            (MemoryError(), False, "out_of_memory", "MemoryError"),
            (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried\nto"), False, "out_of_memory",
             "OutOfMemoryError: CUDA out of memory. Tried"),
            (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
             True, "out_of_memory",
             "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            (RuntimeError("not enough memory"), False, "out_of_memory",
             "RuntimeError: not enough memory"),
            (ValueError("not enough memory"), False, "failed", "ValueError: not enough memory"),
            (compiler_error("cannot trace"), True, "unsupported",
             f"the compiler of PyTorch {torch.__version__} cannot: Refusal: cannot trace"),
            (compiler_error("cannot trace"), False, "failed", "Refusal: cannot trace"),
            (KeyError("x"), True, "failed", "KeyError: 'x'"),
            (ValueError(), False, "failed", "ValueError"),
            (SystemExit(3), False, "failed", "SystemExit: 3"),
        ],
        ids=lambda value: getattr(type(value), "__name__", None),
    )  # fmt: skip
    def test_each_error_has_its_status_and_one_sentence(self, error, compiles, status, reason):
        assert failure(error, compiles) == {"status": status, "reason": reason}

    def test_statuses_are_the_schemas(self):
        errors = [Incorrect(""), MemoryError(), ValueError(), compiler_error()]
        assert {failure(error, True)["status"] for error in errors} <= set(NOT_MEASURED)

    def test_the_reason_is_one_line_of_readable_length(self):
        reason = failure(ValueError("x" * 1000 + "\nsecond"), False)["reason"]
        assert len(reason) < 330
        assert "\n" not in reason

    def test_a_compilers_headline_is_told_with_what_follows_it(self):
        error = compiler_error("backend='inductor' raised:\n\n  ValueError: too deep\n\nmore")
        assert "backend='inductor' raised: ValueError: too deep" in failure(error, True)["reason"]


class TestPlugins:
    @pytest.fixture
    def plugin(self, tmp_path):
        def write(text, name="mine.py"):
            (tmp_path / name).write_text(text)
            return str(tmp_path / name)

        return write

    RIGHT = (
        "from rnnbench.implementations import implementation, one_step, stacked, step_by_step\n"
        "@implementation('mine', 'a loop')\n"
        "def build(case, weights):\n"
        "    return stacked(case, weights, step_by_step(one_step(case)))\n"
    )

    def test_a_right_one_registers_its_implementations(self, plugin):
        load_plugin(plugin(self.RIGHT))
        assert implementations.registered()["mine"].description == "a loop"

    def test_two_files_of_one_name_do_not_shadow_each_other(self, plugin, tmp_path):
        (tmp_path / "other").mkdir()
        load_plugin(plugin(self.RIGHT), 0)
        load_plugin(plugin(self.RIGHT.replace("'mine'", "'theirs'"), "other/mine.py"), 1)
        assert {"mine", "theirs"} <= set(implementations.registered())

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
            ("1 +\n", "SyntaxError: invalid syntax"),
            ("raise KeyError('k')\n", "KeyError: 'k'"),
        ],
    )
    def test_one_that_does_not_import_is_named_with_the_error(self, plugin, text, says):
        path = plugin(text)
        with pytest.raises(UserError) as refused:
            load_plugin(path)
        said = str(refused.value)
        assert said.startswith(f"plug-in {path!r} does not import: {says}")
        assert said.endswith("; mend the file and run again")
        assert "\n" not in said

    @pytest.mark.parametrize("name", ["nn_rnn", "reference"])
    def test_a_taken_name_is_refused(self, plugin, name):
        path = plugin(self.RIGHT.replace("'mine'", f"'{name}'"))
        with pytest.raises(UserError) as refused:
            load_plugin(path)
        assert str(refused.value) == (
            f"plug-in {path!r}: implementation {name!r} is registered already; choose another name"
        )

    def test_one_that_is_not_there_or_no_file_is_refused(self, tmp_path):
        for path in (tmp_path / "absent.py", tmp_path):
            with pytest.raises(UserError, match="is not a file; give the path of a Python file"):
                load_plugin(str(path))

    def test_one_that_is_not_named_as_python_is_refused(self, plugin):
        with pytest.raises(UserError, match=r"is not a Python file; its name must end in \.py"):
            load_plugin(plugin("", "mine.txt"))

    def test_hello_tells_their_names_and_refuses_wrong_ones(self, plugin, hello):
        path = plugin(self.RIGHT)
        assert Server().handle({**hello, "plugins": [path]})["result"]["plugins"] == ["mine"]
        answer = Server().handle({**hello, "plugins": ["absent.py"]})
        assert answer["status"] == "user_error"
        assert "'absent.py' is not a file" in answer["reason"]


class TestEntryPoints:
    @pytest.fixture
    def entry(self, monkeypatch):
        """Stand in for an installed package with an entry point."""

        def install(load):
            class Entry:
                name, value = "theirs", "their.module"

            Entry.load = staticmethod(load)
            monkeypatch.setattr(
                metadata,
                "entry_points",
                lambda group: [Entry()] if group == "rnnbench.implementations" else [],
            )

        return install

    def test_their_modules_register_implementations(self, entry, hello):
        entry(lambda: implementations.implementation("theirs", "x")(lambda case, weights: None))
        assert Server().handle(hello)["result"]["plugins"] == ["theirs"]

    def test_one_that_does_not_import_is_named(self, entry, hello):
        def load():
            raise ImportError("no such thing")

        entry(load)
        assert Server().handle(hello) == {
            "status": "user_error",
            "reason": "entry point 'theirs' (their.module) does not import: "
            "ImportError: no such thing",
        }

    def test_a_taken_name_is_refused(self, entry, hello):
        entry(lambda: implementations.implementation("nn_rnn", "x")(None))
        answer = Server().handle(hello)
        assert answer["status"] == "user_error"
        assert answer["reason"].startswith("entry point 'theirs' (their.module): implementation")


class TestHello:
    def test_it_tells_who_answers(self, hello):
        result = Server().handle({**hello, "devices": ["cpu", "nonsense"]})["result"]
        assert result["pid"] == os.getpid()
        assert result["environment"]["torch"] == torch.__version__
        assert result["memory"] > 50 << 20
        assert result["implementations"]["nn_rnn"]["compiler"] == ""
        assert result["implementations"]["compiled_loop"]["compiler"] == "inductor"
        assert result["plugins"] == []
        assert result["no_device"]["cpu"] is None
        assert result["no_device"]["nonsense"] == (
            f"PyTorch {torch.__version__} knows no device nonsense"
        )

    def test_tf32_is_off_for_matrix_products_and_cudnn_alike(self, hello, monkeypatch):
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
        told = Server().handle(hello)["result"]["environment"]["tf32"]
        assert told == {"matmul": False, "cudnn": False}

    def test_a_process_of_its_own_gets_its_limit_and_no_collections(self, hello, monkeypatch):
        limits = []
        monkeypatch.setattr(server, "limit_memory", limits.append)
        monkeypatch.setattr(torch, "get_num_interop_threads", lambda: 1)
        try:
            Server().handle({**hello, "in_process": False, "memory_limit": 123})
            assert limits == [123]
            assert not gc.isenabled()
        finally:
            gc.unfreeze()
            gc.enable()

    def test_in_the_users_own_process_neither_is_touched(self, hello, monkeypatch):
        monkeypatch.setattr(server, "limit_memory", lambda limit: pytest.fail("limited"))
        Server().handle({**hello, "memory_limit": 123})
        assert gc.isenabled()


class TestRoundTrip:
    def test_a_case_is_checked_prepared_described_timed_and_finished(self, ready):
        columns = CASE.columns()
        assert ready.handle({"op": "check", "cases": [columns]})["result"] == {
            "unsupported": [None]
        }
        prepared = ready.handle(prepare(columns))["result"]
        assert prepared["compile"] is None
        assert prepared["iterations"] >= 1
        assert prepared["clock"] == {"rounds": "perf_counter", "device_rounds": None}
        assert prepared["verification"]["oracle"] == "float64 formula"
        described = ready.handle({"op": "describe", "case": columns})["result"]
        assert described["backend"] == "eager"
        request = {"op": "block", "case": columns, "seconds": 0.002, "cores": []}
        block = ready.handle({**request, "iterations": 1})["result"]
        assert len(block["rounds"]) >= 2
        assert 1 <= len(block["warmup"]) <= 4
        assert block["device_rounds"] == []
        assert block["seconds"] >= 0.002
        assert ready.handle({"op": "finish"})["result"] == {"recompilations": 0}

    def test_checks_say_why_not(self, ready):
        cases = [
            CASE,
            dataclasses.replace(CASE, implementation="absent"),
            dataclasses.replace(CASE, device="nonsense"),
            dataclasses.replace(CASE, implementation="aot_inductor", pass_="backward"),
        ]
        answer = ready.handle({"op": "check", "cases": [case.columns() for case in cases]})
        fine, absent, device, trains = answer["result"]["unsupported"]
        assert fine is None
        assert absent == "this environment has no implementation 'absent'"
        assert device == f"PyTorch {torch.__version__} knows no device nonsense"
        assert "aot_inductor computes no gradients" in trains

    @pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux has affinity")
    def test_a_block_runs_on_its_cores_and_says_so(self, ready, monkeypatch):
        cores = sorted(os.sched_getaffinity(0))
        moves = []

        def moved(wanted, *threads):
            moves.append((list(wanted), *threads))
            return list(wanted)

        monkeypatch.setattr(server, "run_on", moved)
        monkeypatch.setattr(server, "bind_threads", moved)
        ready.handle(prepare(CASE.columns(), cores))
        request = {"op": "block", "case": CASE.columns(), "seconds": 1e-3, "iterations": 1}
        for _ in range(2):
            block = ready.handle({**request, "cores": cores[-1:]})["result"]
            assert block["cores"] == cores[-1:]
        ready.handle(prepare(CASE.columns(), cores))
        ready.handle({**request, "cores": cores[-1:]})
        # Once to all and once to the block's own, for both blocks, then again.
        assert moves == [(cores,), (cores[-1:], 1)] * 2

    def test_after_finishing_a_block_needs_preparing_again(self, ready):
        ready.handle(prepare(CASE.columns()))
        ready.handle({"op": "finish"})
        request = {"op": "block", "case": CASE.columns(), "seconds": 1e-3, "iterations": 1}
        assert ready.handle({**request, "cores": []})["status"] == "failed"

    def test_a_wrong_case_is_the_users(self, ready):
        answer = ready.handle(prepare({**CASE.columns(), "batch": 0}))
        assert answer == {
            "status": "user_error",
            "reason": "column 'batch' is 0; it must be 1 or more",
        }

    def test_before_hello_nothing_is_answered(self):
        assert Server().handle({"op": "finish"})["status"] == "failed"

    def test_an_interrupt_is_the_users(self, ready, monkeypatch):
        def interrupt(request):
            raise KeyboardInterrupt

        monkeypatch.setitem(ready._operations, "block", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ready.handle({"op": "block"})

    def test_the_traceback_goes_to_the_log(self, ready, capsys):
        ready.handle(prepare(dataclasses.replace(CASE, implementation="absent").columns()))
        assert "Traceback" in capsys.readouterr().err


class TestFaultsAreStatuses:
    """In process, what an implementation may do wrong, and what it is called."""

    @pytest.fixture
    def answer(self, ready):
        number = itertools.count()

        def answer(build, *, compiler="", **columns):
            name = f"planted_{next(number)}"
            implementations.implementation(name, "planted", compiler=compiler)(build)
            case = dataclasses.replace(CASE, implementation=name, **columns)
            return ready.handle(prepare(case.columns()))

        return answer

    @staticmethod
    def spoiled(change):
        def build(case, weights):
            step = implementations.one_step(case)
            layer = implementations.stacked(case, weights, implementations.step_by_step(step))
            return lambda x, h0: change(*layer(x, h0))

        return build

    def test_a_right_one_passes(self, answer):
        assert "result" in answer(self.spoiled(lambda output, h_n: (output, h_n)))

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda output, h_n: (output + 1e-3, h_n), "output["),
            (lambda output, h_n: (output, h_n + 1e-3), "h_n["),
            (lambda output, h_n: (output[:-1], h_n), "output has shape (2, 2, 4)"),
            (lambda output, h_n: (output.double(), h_n), "output is float64"),
            (
                lambda output, h_n: output,
                "must return (output, h_n), two tensors; it returned Tensor",
            ),
            (lambda output, h_n: (output, h_n, 1), "two tensors; it returned tuple"),
            (lambda output, h_n: (output, None), "two tensors; it returned tuple"),
        ],
    )
    def test_a_wrong_one_is_incorrect(self, answer, change, says):
        told = answer(self.spoiled(change))
        assert told["status"] == "incorrect"
        assert says in told["reason"]

    def test_one_that_cannot_be_differentiated_has_failed(self, answer):
        told = answer(self.spoiled(lambda output, h_n: (output.detach(), h_n)))
        assert told["status"] == "failed"
        assert "does not require grad" in told["reason"]

    def test_one_that_raises_has_failed(self, answer):
        def build(case, weights):
            raise ValueError("planted")

        assert answer(build) == {"status": "failed", "reason": "ValueError: planted"}

    def test_one_that_the_compiler_refuses_is_unsupported(self, answer):
        def refuse(output, h_n):
            raise compiler_error("planted")

        told = answer(self.spoiled(refuse), compiler="torchscript")
        assert told["status"] == "unsupported"
        assert answer(self.spoiled(refuse))["status"] == "failed"

    def test_inference_is_timed_where_only_the_training_pass_cannot_be_compiled(self, answer):
        def refuse_gradients(output, h_n):
            if torch.is_grad_enabled():
                raise compiler_error("planted")
            return output, h_n

        told = answer(self.spoiled(refuse_gradients), compiler="torchscript", pass_="inference")
        assert told["result"]["verification"]["gradients_not_checked"] == (
            "Refusal in the compilation of the training pass"
        )
        told = answer(self.spoiled(refuse_gradients), compiler="torchscript", pass_="forward")
        assert told["status"] == "unsupported"

    def test_inference_with_wrong_gradients_is_refused(self, answer):
        def scale(output, h_n):
            output.register_hook(lambda g: g * 1.5) if output.requires_grad else None
            return output, h_n

        told = answer(self.spoiled(scale), pass_="inference")
        assert told["status"] == "incorrect"
        assert "gradient" in told["reason"]


class TestLostDevice:
    def test_a_worker_whose_device_is_lost_ends_and_says_why(self, monkeypatch, capsys):
        ended = []

        def end(status):
            ended.append(status)
            raise SystemExit(status)

        def faulty(request):
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

        server = Server()
        server._operations["block"] = faulty
        monkeypatch.setattr(os, "_exit", end)
        with pytest.raises(SystemExit):
            server.handle({"op": "block"})
        assert ended == [70]
        last = capsys.readouterr().err.strip().splitlines()[-1]
        assert last == "RuntimeError: CUDA error: an illegal memory access was encountered"

    def test_running_out_of_its_memory_is_no_loss(self, monkeypatch):
        def full(request):
            raise torch.cuda.OutOfMemoryError("CUDA error: out of memory")

        server = Server()
        server._operations["block"] = full
        assert server.handle({"op": "block"})["status"] == "out_of_memory"
