"""A running server for the tests, and what they ask it."""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

QUESTIONS = ["What are the benefits of regular exercise?", "Name three fruits.", "What is a river delta?",
             "How do I make tea?", "Give tips for better sleep.", "Who wrote Hamlet?"]


# What is begun with tokens that others have computed has other last bits: texts that are compared begin anew.
ANEW = {"anabranch": {"reuse_prefix": False}}

# For a server in whose test the width of its passes does not matter: none is measured, which takes seconds of CPU time.
ALL_ROWS = ("--width", "all")


def damaged(body, chance):
    """The bytes of `body` with up to four places changed or cut, by the random numbers of `chance`."""
    body = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(body))
        if chance.random() < 0.5:
            body[at] = chance.randrange(256)
        else:
            del body[at:at + chance.randint(1, 9)]
    return bytes(body)


class Server:
    """The program on a port of its own. It ends with the `with` block."""

    def __init__(self, program, *options, env=None):
        self.command = [program, "--port", "0", "--weights", "int8", *options]
        self.env = {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.env)
        self.log = []
        threading.Thread(target=self._read_log, daemon=True).start()
        self.greeting = ""
        while "curl" not in self.greeting:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError("the server did not start: " + "\n".join(self.log))
            self.greeting += line
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+)", self.greeting)[1])
        return self

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            self.process.stdout.close()

    def request(self, method, path, body=None, headers=None, timeout=300):
        """Status, headers and body of a reply."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            data = json.dumps(body) if isinstance(body, (dict, list)) else body
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read().decode()

    def post(self, path, body, **more):
        status, _, text = self.request("POST", path, body, **more)
        return status, json.loads(text)

    def chat(self, question, **fields):
        own = {**ANEW["anabranch"], **fields.pop("anabranch", {})}
        body = {"model": "default", "max_tokens": 24, "messages": [{"role": "user", "content": question}],
                "anabranch": own, **fields}
        status, reply = self.post("/v1/chat/completions", body)
        assert status == 200, reply
        return reply

    def text(self, question, **fields):
        return self.chat(question, **fields)["choices"][0]["message"]["content"]

    def send_raw(self, body, path="/v1/chat/completions"):
        """A socket that has sent a request and read nothing."""
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        data = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        raw.sendall(head.encode() + data)
        return raw

    def metrics(self):
        _, _, text = self.request("GET", "/metrics")
        return {m[1]: float(m[2]) for m in re.finditer(r"^(anabranch_\w+(?:\{[^}]*\})?) (\S+)$", text, re.M)}

    def wait_until_idle(self, seconds=60):
        """Waits until no request is open, and all pages are free or kept for prompts; returns the metrics."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            metrics = self.metrics()
            is_idle = metrics["anabranch_requests_running"] + metrics["anabranch_requests_queued"] == 0
            n_known = metrics["anabranch_pages_free"] + metrics["anabranch_pages_kept"]
            if is_idle and n_known == metrics["anabranch_pages"]:
                return metrics
            time.sleep(0.1)
        raise AssertionError(f"requests are open, or pages were lost: {metrics}")

    def memory(self):
        """Resident bytes of the process."""
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(tests):
    """Runs the tests of a module with the program named by the last argument."""
    import unittest
    tests.PROGRAM = sys.argv.pop()
    unittest.main(module=tests, verbosity=2)
