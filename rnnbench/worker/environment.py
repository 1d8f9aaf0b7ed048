"""What a worker runs in: torch and its build, Python, processor, devices, container and limits."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

__all__ = ["describe_environment"]

_VARIABLES = (
    "OMP_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "OMP_PROC_BIND",
    "GOMP_SPINCOUNT",
    "KMP_BLOCKTIME",
    "MKL_NUM_THREADS",
    "MKL_CBWR",
    "MALLOC_CONF",
    "LD_PRELOAD",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "CUDA_VISIBLE_DEVICES",
    "CUBLAS_WORKSPACE_CONFIG",
    "PYTORCH_CUDA_ALLOC_CONF",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCHINDUCTOR_COMPILE_THREADS",
)


def describe_environment() -> dict[str, Any]:
    """Everything that two machines, builds or runs could differ in, JSON-safe."""
    return {
        "torch": torch.__version__,
        "torch_git": torch.version.git_version,
        "torch_build": torch.__config__.show().strip(),
        "parallel": torch.__config__.parallel_info().strip(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "mkldnn": bool(torch.backends.mkldnn.is_available()),  # type: ignore[no-untyped-call]
        "python": platform.python_version(),
        "python_implementation": platform.python_implementation(),
        "system": platform.platform(),
        "libc": " ".join(platform.libc_ver()),
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "tf32": {
            "matmul": torch.backends.cuda.matmul.allow_tf32,
            "cudnn": torch.backends.cudnn.allow_tf32,
        },
        "cpu": _cpu(),
        "memory": _memory(),
        "container": _container(),
        "devices": _devices(),
    }


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _cpu() -> dict[str, Any]:
    info = _read("/proc/cpuinfo") or ""
    fields: dict[str, str] = {}
    for line in info.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags", fields.get("Features", "")).split()
    return {
        "model": fields.get("model name", platform.processor() or platform.machine()),
        "family": _family(fields),
        "machine": platform.machine(),
        "count": os.cpu_count(),
        "flags": [flag for flag in flags if flag.startswith(("avx", "amx", "fma", "sve", "asimd"))],
        "virtual": "hypervisor" in flags,
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "smt": _read("/sys/devices/system/cpu/smt/active"),
    }


def _family(fields: dict[str, str]) -> str | None:
    """Which processor it is, where its name does not say: virtual machines give all of a maker one.

    Family, model and stepping, as far as the kernel tells them.
    """
    told = [fields[name] for name in ("cpu family", "model", "stepping") if name in fields]
    return ".".join(told) or None


def _memory() -> int | None:
    for line in (_read("/proc/meminfo") or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def _container() -> dict[str, Any]:
    """Hints that others share the processor, and the share of it that a cgroup grants."""
    return {
        "docker": Path("/.dockerenv").exists() or Path("/run/.containerenv").exists(),
        "kubernetes": "KUBERNETES_SERVICE_HOST" in os.environ,
        "slurm": "SLURM_JOB_ID" in os.environ,
        "cpu_max": _read("/sys/fs/cgroup/cpu.max"),
    }


def _devices() -> dict[str, Any]:
    found: dict[str, Any] = {}
    if torch.cuda.is_available():
        found["cuda"] = {
            "toolkit": torch.version.cuda,
            "hip": torch.version.hip,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            "devices": [
                _cuda_device(torch.cuda.get_device_properties(index))
                for index in range(torch.cuda.device_count())
            ],
            "driver": _nvidia_smi(),
        }
    if torch.backends.mps.is_available():
        found["mps"] = {"macos": platform.mac_ver()[0]}
    xpu = getattr(torch, "xpu", None)
    if xpu is not None and xpu.is_available():
        found["xpu"] = {
            "devices": [xpu.get_device_name(index) for index in range(xpu.device_count())]
        }
    return found


def _cuda_device(properties: Any) -> dict[str, Any]:
    return {
        "name": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "memory": properties.total_memory,
        "multiprocessors": properties.multi_processor_count,
    }


_SMI_FIELDS = (
    "driver_version",
    "clocks.sm",
    "clocks.max.sm",
    "clocks.mem",
    "power.limit",
    "persistence_mode",
    "mig.mode.current",
    "temperature.gpu",
    "clocks_throttle_reasons.active",
)


def _nvidia_smi() -> list[dict[str, str]] | None:
    """Driver, clocks and limits of each GPU, as nvidia-smi words them; None where it is not."""
    query = ["nvidia-smi", f"--query-gpu={','.join(_SMI_FIELDS)}", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"nvidia-smi did not answer: {error}\n")
        return None
    rows = [line.split(", ") for line in answer.stdout.strip().splitlines()]
    return [dict(zip(_SMI_FIELDS, row, strict=False)) for row in rows]
