"""The description of an environment: complete, JSON-safe, and without the user's paths."""

import getpass
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rnnbench.worker import environment
from rnnbench.worker.environment import describe_environment


@pytest.fixture(scope="module")
def described():
    return describe_environment()


def texts(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    else:
        yield str(value)


def test_it_is_json(described):
    assert json.loads(json.dumps(described, allow_nan=False)) == described


def test_it_names_torch_python_and_the_machine(described):
    assert described["torch"] == torch.__version__
    assert described["python"] == platform.python_version()
    assert described["cpu"]["count"] == os.cpu_count()
    assert described["cpu"]["model"]
    assert "CPU capability" in described["torch_build"]
    assert "threads" in described["parallel"].lower()
    assert {"cpu_max", "docker", "kubernetes", "slurm"} == set(described["container"])
    assert described["memory"] is None or described["memory"] > 2**28


def test_it_holds_no_path_of_this_user(described, tmp_path):
    home, here = str(Path.home()), os.getcwd()
    for text in texts(described):
        for private in (here, sys.prefix, sys.executable, str(tmp_path.parent), *_named(home)):
            assert private not in text, (private, text)


def _named(home):
    """A home folder that says who the user is, and the name where it is not everybody's."""
    names = {getpass.getuser(), platform.node()} - {"root", "vm", "localhost", "runner", ""}
    return [home] * (home not in ("/root", "/")) + [f"/{name}/" for name in names]


def test_only_variables_that_change_numbers_are_told(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    monkeypatch.setenv("SECRET_TOKEN", "not for others")
    monkeypatch.delenv("MKL_CBWR", raising=False)
    told = describe_environment()
    assert told["variables"]["OMP_WAIT_POLICY"] == "passive"
    assert "MKL_CBWR" not in told["variables"]
    assert "not for others" not in json.dumps(told)


def test_the_processor_is_read_from_the_kernel(monkeypatch):
    info = (
        "processor: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nstepping\t: 1\n"
        "flags\t: fpu fma avx2 amx_tile hypervisor\n\n"
        "processor: 1\nmodel name\t: another\n"
    )
    files = {"/proc/cpuinfo": info, "/sys/devices/system/cpu/smt/active": "1"}
    monkeypatch.setattr(environment, "_read", files.get)
    cpu = describe_environment()["cpu"]
    assert cpu["model"] == "AMD EPYC"
    assert cpu["family"] == "25.17.1"
    assert cpu["flags"] == ["fma", "avx2", "amx_tile"]
    assert cpu["virtual"] is True
    assert cpu["smt"] == "1"
    assert cpu["governor"] is None


def test_what_the_system_does_not_tell_is_none(monkeypatch):
    monkeypatch.setattr(environment, "_read", lambda path: None)
    told = describe_environment()
    assert told["memory"] is None
    assert told["cpu"]["flags"] == []
    assert told["cpu"]["family"] is None
    assert told["cpu"]["model"], "the platform has a word for it"
    assert told["cpu"]["virtual"] is False


def test_a_file_that_cannot_be_read_is_none(tmp_path):
    assert environment._read(str(tmp_path / "missing")) is None
    (tmp_path / "there").write_bytes(b"  x\xff \n")
    assert environment._read(str(tmp_path / "there")) == "x\ufffd"


class TestDevices:
    """With stand-ins: no device is needed to see what would be told of one."""

    @pytest.fixture
    def cuda(self, monkeypatch):
        properties = SimpleNamespace(
            name="H200", major=9, minor=0, total_memory=150, multi_processor_count=132
        )
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
        monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91900)
        monkeypatch.setattr(environment, "_nvidia_smi", lambda: [{"driver_version": "580"}])

    @pytest.mark.usefixtures("cuda")
    def test_every_cuda_device_is_told_with_its_libraries_and_driver(self):
        told = describe_environment()["devices"]["cuda"]
        assert told["cudnn"] == 91900
        assert told["driver"] == [{"driver_version": "580"}]
        assert (
            told["devices"]
            == [{"name": "H200", "capability": "9.0", "memory": 150, "multiprocessors": 132}] * 2
        )

    def test_other_accelerators_are_told(self, monkeypatch):
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
        xpu = SimpleNamespace(
            is_available=lambda: True, device_count=lambda: 1, get_device_name=lambda k: f"arc{k}"
        )
        monkeypatch.setattr(torch, "xpu", xpu)
        told = describe_environment()["devices"]
        assert set(told) >= {"mps", "xpu"}
        assert told["xpu"] == {"devices": ["arc0"]}

    def test_nvidia_smi_is_asked_and_its_words_are_kept(self, monkeypatch):
        asked = []
        line = "580.1, 1980 MHz, 1980 MHz, 3201 MHz, 700.00 W, Enabled, Disabled, 31, 0x0\n"

        def run(command, **options):
            asked.append(command)
            assert options["timeout"] > 0
            return SimpleNamespace(stdout=line * 2)

        monkeypatch.setattr(subprocess, "run", run)
        first, second = environment._nvidia_smi()
        assert first == second
        assert first["driver_version"] == "580.1"
        assert first["power.limit"] == "700.00 W"
        assert first["clocks_throttle_reasons.active"] == "0x0"
        assert asked[0][0] == "nvidia-smi"

    @pytest.mark.parametrize(
        "error", [FileNotFoundError("nvidia-smi"), subprocess.TimeoutExpired("nvidia-smi", 20)]
    )
    def test_without_an_answer_the_driver_is_unknown_and_the_log_says_why(
        self, monkeypatch, capsys, error
    ):
        def run(*_, **__):
            raise error

        monkeypatch.setattr(subprocess, "run", run)
        assert environment._nvidia_smi() is None
        assert "nvidia-smi did not answer" in capsys.readouterr().err
