"""The server against its own openapi.json, by schemathesis: python schema_test.py PROGRAM.

Requests are made from the document, right ones and wrong ones; replies must be as it says, and never 5xx. Needs
schemathesis (requirements-schema.txt); without it it says so and ends with status 77, which CTest knows as skipped.
"""
import importlib.util
import os
import subprocess
import sys

from serving import Server

N_EXAMPLES = int(os.environ.get("ANABRANCH_SCHEMA_EXAMPLES", "40"))  # of an operation and a phase


def main():
    if importlib.util.find_spec("schemathesis") is None:
        print("skipped: the Python package schemathesis is not installed (cmake/setup/requirements-schema.txt)")
        return 77
    with Server(sys.argv[-1], "--max-tokens", "8", "--max-seconds", "20", "--max-open", "200") as server:
        url = f"http://127.0.0.1:{server.port}"
        status = subprocess.run([sys.executable, "-m", "schemathesis.cli", "run", url + "/openapi.json", "--url", url,
                                 "--max-examples", str(N_EXAMPLES), "--seed", "7", "--request-timeout", "60",
                                 "--no-color"], check=False).returncode
        server.wait_until_idle()
    return status


if __name__ == "__main__":
    sys.exit(main())
