"""The job script of docs/slurm.md, as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import zeroshot
from zeroshot import Store

PAGE = Path(__file__).parents[2] / "docs" / "slurm.md"
TOML = """
[data]
path = "images.npz"
batch_size = 8
batches = 3
[space]
channels = {channels}
cells = 1
[archs]
sample = {n}
[[scores]]
name = "gradsign"
"""
N = 64  # parts, as the script has it


class Cluster:
    """A folder that all jobs share, and the disk of a node."""

    def __init__(self, folder: Path, n: int, channels: int) -> None:
        if shutil.which("bash") is None:
            pytest.skip("bash is not installed: the job script of docs/slurm.md was not run")
        if not PAGE.exists():
            pytest.skip("docs/slurm.md is not beside the tests: its job script was not run")
        self.shared, self.node = folder / "shared", folder / "node"
        for place in (self.shared, self.node, folder / "bin"):
            place.mkdir()
        pixels = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), np.uint8)
        np.savez(self.shared / "images.npz", images=pixels, labels=np.arange(24) % 4)
        (self.shared / "experiment.toml").write_text(TOML.format(n=n, channels=channels))
        (block,) = re.findall(r"```bash\n(#!/bin/bash.*?)```", PAGE.read_text(), re.DOTALL)
        (self.shared / "job.sh").write_text(block)
        command = folder / "bin" / "zeroshot"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m zeroshot "$@"\n')
        command.chmod(0o755)
        self.path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def start(self, task: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["bash", "job.sh"], cwd=self.shared, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
            env={
                **os.environ, "PATH": self.path, "SLURM_ARRAY_TASK_ID": str(task),
                "SLURM_ARRAY_JOB_ID": "1", "SLURM_CPUS_PER_TASK": "1",
                "SLURM_TMPDIR": str(self.node),
            },
        )  # fmt: skip

    def part(self, task: int) -> Path:
        return self.shared / "parts" / f"part-{task}.sqlite"

    def local(self, task: int) -> Path:
        return self.node / f"zeroshot-1-part-{task}.sqlite"

    def wait_for_values(self, task: int) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            time.sleep(0.05)
            if self.local(task).exists():
                try:
                    with Store(self.local(task), create=False) as store:
                        if len(store):
                            return
                except zeroshot.StoreError:  # it is being made
                    continue
        raise AssertionError("no values in two minutes")


def n_values(path: Path) -> int:
    with Store(path, create=False) as store:
        return len(store)


def test_a_job_goes_on_from_what_is_on_the_node_and_in_the_parts(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, 20 * N, channels=4)
    job = cluster.start(0)
    out, _ = job.communicate(timeout=300)
    assert job.returncode == 0, out.decode()
    whole = n_values(cluster.part(0))
    assert whole == n_values(cluster.local(0)) > 3
    # a later job on this node, while another node has written other values to parts/
    with Store(tmp_path / "half.sqlite") as half:
        half.merge(cluster.part(0))
        with half.writing() as file:
            file.execute("DELETE FROM value WHERE id % 2")
    with Store(cluster.local(0)) as local, local.writing() as file:
        file.execute("DELETE FROM value WHERE id % 2 = 0")
    shutil.copy(tmp_path / "half.sqlite", cluster.part(0))
    job = cluster.start(0)
    out, _ = job.communicate(timeout=300)
    assert job.returncode == 0, out.decode()
    assert f"{whole} were there, 0 computed" in out.decode()
    assert n_values(cluster.part(0)) == whole


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, 137)])
def test_a_job_that_is_stopped_keeps_its_values(tmp_path: Path, number: int, code: int) -> None:
    cluster = Cluster(tmp_path, 15625, channels=32)
    job = cluster.start(1)
    try:
        cluster.wait_for_values(1)
        if number == signal.SIGTERM:
            job.send_signal(number)  # to the script alone, as --signal=B: has it
        else:  # as where memory runs out: of the run alone
            children = Path(f"/proc/{job.pid}/task/{job.pid}/children")
            if not children.exists():
                pytest.skip("/proc does not list children here: the worker could not be killed")
            os.kill(int(children.read_text().split()[-1]), number)
        out, _ = job.communicate(timeout=120)
    finally:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
    assert job.returncode == code, out.decode()
    kept = n_values(cluster.part(1))
    assert kept == n_values(cluster.local(1)) > 0
    assert f"{kept} values" in out.decode()
