"""The servers that are compared, each a process of its own on this machine."""
import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

from client import Endpoint

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "serve"))
from serving import Server, damaged  # noqa: E402, F401

POSITIONS = 2048  # of a request: SmolLM2's 8192 are not needed here
MOST_OPEN = 32     # requests at once, when they come as they like
# The same sampling on every server: greedy, with the penalty that the shipped adapter was measured with.
GREEDY = {"temperature": 0, "repetition_penalty": 1.1}
LLAMA_GREEDY = {"temperature": 0, "repeat_penalty": 1.1, "repeat_last_n": POSITIONS}

OURS = {"width": ("width control", "auto"), "serial": ("serial always", "serial"), "all": ("all branches at once", "all")}
LLAMA = {"llama-q4_1": ("llama-server Q4_1", "q4_1"), "llama-q8_0": ("llama-server Q8_0", "q8_0")}
NAMES = [*OURS, *LLAMA]


def cores():
    return len(os.sched_getaffinity(0))


def anabranch_server(program, width, n_open, context, target=None):
    """tests/serve/serving.py's, with as many threads as LibTorch chooses. `target`: seconds a token, of width control."""
    kept = ["--target-ms", f"{1000 * target:.3f}"] if target and width == "auto" else []
    return Server(program, "--width", width, "--max-open", str(n_open), "--context", str(context), *kept,
                  env={"OMP_NUM_THREADS": str(cores())})


class LlamaServer:
    """llama.cpp's server with continuous batching over `n_parallel` requests. It ends with the `with` block."""

    def __init__(self, program, weights, n_parallel):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.command = [str(program), "-m", str(weights), "-np", str(n_parallel), "-c", str(n_parallel * POSITIONS),
                        "-t", str(cores()), "--host", "127.0.0.1", "--port", str(self.port)]
        self.log = ROOT / "build" / "logs" / f"llama-server-{pathlib.Path(weights).stem}.log"

    def __enter__(self):
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 120
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                raise SystemExit(f"llama-server did not start; its output is in {self.log.relative_to(ROOT)}")
            time.sleep(0.1)
        return self

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as reply:
                return reply.status == 200
        except OSError:
            return False

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()


@contextlib.contextmanager
def running(name, options, target):
    """The endpoint of the server that goes by this name. `target`: as for anabranch_server."""
    most = MOST_OPEN if options.rates else max(options.levels)
    if name in OURS:
        title, width = OURS[name]
        with anabranch_server(options.program, width, max(64, most), max(32768, most * POSITIONS), target) as server:
            yield Endpoint(title, f"http://127.0.0.1:{server.port}", fields=GREEDY)
    else:
        title, kind = LLAMA[name]
        weights = ROOT / "build" / "models" / f"smollm2-135m-{kind}.gguf"
        with LlamaServer(options.llama_server, weights, most) as server:
            yield Endpoint(title, f"http://127.0.0.1:{server.port}", fields=LLAMA_GREEDY)
