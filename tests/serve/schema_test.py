"""The server against its own openapi.json, by schemathesis: python schema_test.py PROGRAM.

Requests are made from the document, right ones and wrong ones; replies must be as it says, and never 5xx. Needs
schemathesis (requirements-schema.txt); without it it says so and ends with status 77, which CTest knows as skipped.
"""
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve()
N_EXAMPLES = int(os.environ.get("ANABRANCH_SCHEMA_EXAMPLES", "15"))  # of an operation and a phase


def without_fractions(value):
    """JSON Schema takes 7.0 for an integer; OpenAI's API does not, nor does the server."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: without_fractions(item) for key, item in value.items()}
    return [without_fractions(item) for item in value] if isinstance(value, list) else value


def is_within_limits(body):
    """The document cannot say that 'n' answers to each prompt are 16 at most in all."""
    if not isinstance(body, dict) or not isinstance(body.get("prompt"), list) or not body["prompt"]:
        return True
    n = body.get("n")
    lists = isinstance(body["prompt"][0], (str, list))
    return not (lists and isinstance(n, int) and n * len(body["prompt"]) > 16)


def add_hooks():
    import schemathesis

    @schemathesis.hook
    def map_body(_context, body):
        return without_fractions(body)

    @schemathesis.hook
    def filter_body(_context, body):
        return is_within_limits(body)


def main():
    if importlib.util.find_spec("schemathesis") is None:
        print("skipped: the Python package schemathesis is not installed (cmake/setup/requirements-schema.txt)")
        return 77
    from serving import Server

    folders = [str(HERE.parent), *map(os.path.abspath, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    env = {**os.environ, "SCHEMATHESIS_HOOKS": HERE.stem, "PYTHONPATH": os.pathsep.join(folders)}
    with Server(sys.argv[-1], "--max-seconds", "2", "--max-open", "200", env={"ANABRANCH_API_KEY": "secret"}) as server, \
            tempfile.TemporaryDirectory() as folder:  # schemathesis leaves files where it runs
        url = f"http://127.0.0.1:{server.port}"
        status = subprocess.run([sys.executable, "-B", "-m", "schemathesis.cli", "run", url + "/openapi.json", "--url", url,
                                 "--max-examples", str(N_EXAMPLES), "--seed", "7", "--request-timeout", "60",
                                 "--header", "Authorization: Bearer secret", "--no-color"], check=False, env=env,
                                cwd=folder).returncode
        server.wait_until_idle()
    return status


if __name__ == "__main__":
    sys.exit(main())
elif "SCHEMATHESIS_HOOKS" in os.environ:
    add_hooks()
