"""What this machine has: processor, cores that may be used, memory, GPUs. Reads Linux's own files; loads nothing."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Instruction sets that change which code runs here: SIMD width, int8 and bf16 products, tile products.
_FEATURES = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_bf16", "amx_int8")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU as nvidia-smi describes it."""

    name: str
    driver: str
    memory: str


@dataclass(frozen=True, slots=True)
class Machine:
    """``cores`` may be used by this process; ``quota`` is the container's share of them in cores, None without one;
    ``memory`` is in bytes, the container's limit where it has one."""

    system: str
    python: str
    cpu: str
    features: tuple[str, ...]
    cores: int
    quota: float | None
    memory: int
    gpus: tuple[Gpu, ...]

    @property
    def crowded(self) -> bool:
        """Whether the container grants less than the cores that the thread budget counts by default."""
        return self.quota is not None and self.quota < self.cores


def describe() -> Machine:
    """Looks at the machine that this process runs on."""
    cpu_info = _read(Path("/proc/cpuinfo"))
    name = re.search(r"^model name\s*:\s*(.+)$", cpu_info, re.MULTILINE)
    flags = re.search(r"^flags\s*:\s*(.+)$", cpu_info, re.MULTILINE)
    known = set(flags.group(1).split()) if flags else set()
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        cpu=name.group(1).strip() if name else platform.processor() or "unknown",
        features=tuple(feature for feature in _FEATURES if feature in known),
        cores=len(os.sched_getaffinity(0)),
        quota=_cgroup_quota(),
        memory=_memory(),
        gpus=_gpus(),
    )


def _cgroup_quota() -> float | None:
    """Cores that the control group grants: cgroup v2's cpu.max, else v1's quota over its period."""
    quota, _, period = _read(Path("/sys/fs/cgroup/cpu.max")).strip().partition(" ")
    if not period:
        quota = _read(Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")).strip()
        period = _read(Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")).strip()
    if not quota.isdigit() or not period.isdigit():
        return None
    return int(quota) / int(period)


def _memory() -> int:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limit = _read(Path(file)).strip()
        if limit.isdigit():
            return min(total, int(limit))
    return total


def _gpus() -> tuple[Gpu, ...]:
    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    query = [command, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        result = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    fields = (line.split(",") for line in result.stdout.splitlines())
    return tuple(Gpu(*(field.strip() for field in line)) for line in fields if len(line) == 3)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
