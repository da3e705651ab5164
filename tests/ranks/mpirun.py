"""Runs a program as several processes, and says what is left of them."""
import os
import subprocess
import time
import uuid
from pathlib import Path

# As examples/run sets them: root, more processes than cores, containers.
SETTINGS = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
            "OMPI_MCA_hwloc_base_binding_policy": "none", "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
            "OMP_NUM_THREADS": "1",
            "TERM": "dumb"}  # mpirun gives programs a pseudo-terminal


class Run:
    """A run that has begun. Its processes are known by a variable of their environment."""

    def __init__(self, n, *command, cwd=None):
        self.mark = f"ANABRANCH_RUN={uuid.uuid4()}"
        name, value = self.mark.split("=")
        self.begin = time.monotonic()
        self.process = subprocess.Popen(["mpirun", "-np", str(n), *map(str, command)], cwd=cwd, text=True,
                                        env={**os.environ, **SETTINGS, name: value}, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def pids(self):
        """{rank: process}, and None: mpirun."""
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                variables = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if self.mark in variables:
                rank = next((v.split("=")[1] for v in variables if v.startswith("OMPI_COMM_WORLD_RANK=")), None)
                found[None if rank is None else int(rank)] = int(folder.name)
        return found

    def end(self, patience):
        """(exit status, standard output, standard error, seconds); what is left after `patience` seconds is killed, and
        then it is an AssertionError."""
        try:
            out, err = self.process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            self.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"no end after {patience} s:\n{out}{err}") from None
        seconds = time.monotonic() - self.begin
        for _ in range(50):
            left = self.pids()
            if not left:
                break
            time.sleep(0.1)
        self.kill()
        if left:
            raise AssertionError(f"processes are left behind: {left}\n{out}{err}")
        return self.process.returncode, out, err, seconds

    def kill(self):
        for pid in self.pids().values():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
