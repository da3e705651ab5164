#!/usr/bin/env python3
"""How many useful tokens a second do servers give to users whose answers come fast enough?

Users ask servers with OpenAI's API, the same questions of every server: closed loop (--levels: so many users, each
asks, reads the answer and asks again) or open loop (--rates: conversations that begin by chance, so many a second,
however busy the server is). Three servers are Anabranch's, whose width of a pass is controlled, one branch a request,
or all branches; two are llama.cpp's with continuous batching.

Width control is told the target (anabranch_serve --target-ms): it lets requests wait until there is time for their
tokens, and takes branches while each request gets its tokens in time.

Useful tokens are those of the answer's text, which has no tags, counted by SmolLM2's tokenizer whoever wrote it. A
request is good when it took at most --target-ms for a useful token from its first text to its last; goodput is the
useful tokens a second of good requests. The target, when it is not given, is twice the time between the tokens of a
single serial answer, which is measured first.

The bar: with width control goodput is at least that of the better of the two other ways.
"""
import argparse
import asyncio
import contextlib
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import servers
from client import Endpoint, ask, clock, make_client, talk
from report import HEAD, percentile, request_record, row, spread, summarise
from workload import arrivals, conversations, read_questions

ROOT = servers.ROOT
QUESTIONS = [ROOT / "examples/train/questions/nine_kinds.jsonl", ROOT / "examples/train/questions/serial.jsonl"]
TIMES_ONE_ROW = 2


def say(text):
    print(text, file=sys.stderr, flush=True)


async def closed_loop(client, endpoint, load, n_users, answers):
    async def user():
        while clock() < load.end:
            await talk(client, endpoint, next(load.asked), answers, max_tokens=load.max_tokens)
    await asyncio.gather(*(user() for _ in range(n_users)))


async def open_loop(client, endpoint, load, rate, answers):
    begin, tasks = clock(), []
    for when in arrivals(rate, load.seed):
        if begin + when >= load.end:
            break
        await asyncio.sleep(max(0.0, begin + when - clock()))
        tasks.append(asyncio.create_task(talk(client, endpoint, next(load.asked), answers, max_tokens=load.max_tokens)))
    await asyncio.gather(*tasks)


class Load:
    """One server under one load for some seconds, a warm-up before them."""

    def __init__(self, options, questions, seed):
        self.options, self.seed, self.max_tokens = options, seed, options.max_tokens
        self.asked = conversations(questions, seed)

    async def run(self, endpoint, loop, amount, title):
        answers = []
        self.begin = clock() + self.options.warm_up
        self.end = self.begin + self.options.seconds
        cpu = time.process_time(), clock()
        async with make_client() as client:
            shown = asyncio.create_task(self.show(title, answers))
            try:
                await loop(client, endpoint, self, amount, answers)
            finally:
                shown.cancel()
        self.client_share = (time.process_time() - cpu[0]) / (clock() - cpu[1])
        return answers

    async def show(self, title, answers):
        while True:
            await asyncio.sleep(10)
            left = self.end - clock()
            say(f"  {title}: {f'{left:.0f} s left' if left > 0 else 'the last answers'}, {len(answers)} answers so far")


async def measure_one_row(endpoint, serial_fields):
    """Seconds between the tokens of a serial answer on an idle server."""
    async with make_client() as client:
        messages = [{"role": "user", "content": "Tell me about the history of rivers."}]
        for _ in range(2):  # the first warms up
            answer = await ask(client, endpoint, messages, max_tokens=120, **serial_fields)
    if answer.error or not answer.gaps():
        raise SystemExit(f"{endpoint.name}: {answer.error or 'no tokens came'}")
    return percentile(answer.gaps(), 50)


def load_tokenizer():
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(ROOT / "build/models/smollm2-135m/tokenizer.json"))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        lines = dict(line.split(":", 1) for line in file.read().split("\n\n", 1)[0].splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in lines.items()}
    flags = set(fields.get("flags", "").split())
    isa = [name for name in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if name in flags]
    return {"cpu": fields.get("model name", platform.machine()), "cores": servers.cores(), "isa": isa,
            "load_average": os.getloadavg()[0]}


def commit():
    found = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True,
                           check=False)
    return found.stdout.strip() or None


def run_round(options, questions, endpoints, one_level, round_number, target):
    """Each server in turn under the same load; a list of results."""
    kind, amount = one_level
    loop, unit = (closed_loop, "users") if kind == "closed" else (open_loop, "conversations/s")
    results = []
    for endpoint in endpoints:
        load = Load(options, questions, f"{options.seed} {kind} {amount} {round_number}")
        answers = asyncio.run(load.run(endpoint, loop, amount, f"{amount} {unit}, {endpoint.name}"))
        for answer in answers:
            answer.n_useful = options.count_tokens(answer.text)
        summary = summarise(answers, load.begin, load.end, target)
        results.append({"server": endpoint.name, "loop": kind, "amount": amount, "round": round_number, **summary,
                        "client_cpu_share": load.client_share,
                        "requests": [request_record(answer, load.begin) for answer in answers]})
    return results


def print_level(one_level, rounds):
    kind, amount = one_level
    print(f"\n{amount} users, closed loop" if kind == "closed" else f"\n{amount} conversations a second, open loop")
    print(HEAD)
    for results in rounds:
        for result in results:
            print(row(result["server"], result))
            if result["first_error"]:
                print(f"  first error: {result['first_error']}")
    sys.stdout.flush()


def ratios(rounds, names, others):
    """Goodput of the first server to the best of the others, round by round."""
    found = []
    for results in rounds:
        goodput = {result["server"]: result["goodput"] for result in results}
        best = max((goodput[name] for name in others if name in goodput), default=0.0)
        if names in goodput and best > 0:
            found.append(goodput[names] / best)
    return found


def print_figures(by_level):
    """The last lines: what width control is against the others."""
    width = servers.OURS["width"][0]
    own = [servers.OURS[key][0] for key in ("serial", "all")]
    llama = [title for title, _ in servers.LLAMA.values()]
    print()
    for (kind, amount), rounds in by_level:
        load = f"{amount} users" if kind == "closed" else f"{amount} conversations/s"
        for others, title in ((own, "the better of serial and all at once"), (llama, "the better llama-server")):
            if found := ratios(rounds, width, others):
                print(f"serving, {load}: goodput of width control to {title}: {spread(found)}")


def parse():
    def numbers(kind):
        return lambda text: [kind(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(prog="bench/run serving", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", type=numbers(int), default=[1, 8], metavar="N,...", help="concurrent users; default 1,8")
    parser.add_argument("--rates", type=numbers(float), default=[], metavar="R,...",
                        help="conversations a second, instead of --levels")
    parser.add_argument("--servers", type=lambda text: text.split(","), default=None, metavar="NAME,...",
                        help=f"of {', '.join(servers.NAMES)}; default all, none with --url")
    parser.add_argument("--url", action="append", default=[], metavar="NAME=URL[,MODEL]",
                        help="a server that runs already, such as mine=http://127.0.0.1:8000,default")
    parser.add_argument("--questions", nargs="+", type=pathlib.Path, default=QUESTIONS, metavar="FILE",
                        help='JSONL: {"turns": [...]} or {"prompt": "..."}; default: examples/train/questions')
    parser.add_argument("--seconds", type=float, default=12, help="measured of each server, level and round; default 12")
    parser.add_argument("--warm-up", type=float, default=3, help="seconds before; default 3")
    parser.add_argument("--rounds", type=int, default=1, help="of all servers in turns; default 1")
    parser.add_argument("--max-tokens", type=int, default=300, help="of an answer, tags included; default 300")
    parser.add_argument("--target-ms", type=float, default=None,
                        help=f"for a useful token; default {TIMES_ONE_ROW} times that of one serial answer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--soak", type=float, metavar="SECONDS",
                        help="no figures: a mixed load with abuse (bench/serving/soak.py); exit status 1 if the server suffers")
    parser.add_argument("--program", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--llama-server", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.servers = options.servers or ([] if options.url else servers.NAMES)
    if unknown := [name for name in options.servers if name not in servers.NAMES]:
        parser.error(f"no server is called {unknown[0]}; there are {', '.join(servers.NAMES)}")
    if min([*options.levels, options.rounds, options.max_tokens]) < 1 or min([1, *options.rates]) <= 0:
        parser.error("--levels, --rates, --rounds and --max-tokens are more than 0")
    return options


def named_endpoints(options):
    for text in options.url:
        name, _, rest = text.partition("=")
        url, _, model = rest.partition(",")
        if not url.startswith("http"):
            raise SystemExit(f"--url {text}: expected NAME=http://...[,MODEL]")
        yield Endpoint(name, url.rstrip("/"), model or "default", {"temperature": 0})


def target_of(options, one_row):
    """Seconds a useful token."""
    return options.target_ms / 1000 if options.target_ms else TIMES_ONE_ROW * one_row


def run(options):
    options.count_tokens = load_tokenizer()
    questions = read_questions(options.questions)
    levels = [("open", rate) for rate in options.rates] or [("closed", n) for n in options.levels]
    with contextlib.ExitStack() as stack:
        endpoints = list(named_endpoints(options))
        measured = next((name for name in options.servers if name in servers.OURS), None)
        if measured:
            with servers.running("serial", options, None) as first:
                one_row = asyncio.run(measure_one_row(first, {"anabranch": {"mode": "serial"}}))
            target = target_of(options, one_row)
        for name in options.servers:
            say(f"start {name}")
            endpoints.append(stack.enter_context(servers.running(name, options, target if measured else None)))
        if not measured:
            first = endpoints[0]
            one_row = asyncio.run(measure_one_row(first, {}))
            target = target_of(options, one_row)
        report = {"commit": commit(), "machine": machine(), "seed": options.seed, "one_row_seconds": one_row,
                  "target_seconds": target, "max_tokens": options.max_tokens, "results": []}
        where = report["machine"]
        print(f"machine: {where['cpu']}, {where['cores']} cores, {' '.join(where['isa'])}, load {where['load_average']:.1f}")
        print(f"a token of one serial answer ({first.name}): {1000 * one_row:.1f} ms; target: {1000 * target:.1f} ms a useful token")
        print(f"{options.rounds} rounds of {options.seconds:g} s a server; answers of at most {options.max_tokens} tokens")
        by_level = []
        for level in levels:
            rounds = [run_round(options, questions, endpoints, level, number, target) for number in range(options.rounds)]
            print_level(level, rounds)
            by_level.append((level, rounds))
            report["results"] += [result for results in rounds for result in results]
            if options.json:
                options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    share = statistics.fmean(result["client_cpu_share"] for result in report["results"])
    print(f"\nthis program itself took {100 * share:.0f} % of a core")
    print_figures(by_level)


def main():
    options = parse()
    if options.soak:
        import soak
        sys.exit(soak.main(options))
    run(options)


if __name__ == "__main__":
    main()
