"""A mixed load with everything that clients do wrong, for as long as is asked: does the server stay well?

Among users who ask and read there are damaged and senseless requests, clients that go in the middle of an answer or of
their own request, readers that take a byte at a time, and requests that end by their timeout. Meanwhile the server is
asked how it is. Found is: that it died or did not answer /health, that a question's text changed, that requests stayed
open or pages were lost when all is over, and, in four minutes or more, that it holds more memory than after the warm-up.
"""
import asyncio
import contextlib
import dataclasses
import json
import random
import statistics
import sys

import httpx2

import servers
from client import Endpoint, ask, clock, make_client, talk
from workload import conversations, read_questions

CONTEXT = 2560        # tokens of the cache: few, so that it is full soon and requests lose their pages
MAX_OPEN = 14         # fewer than come at times: some are told to come again
MOST_GROWTH = 0.05    # of the resident memory behind the warm-up
WARM_UP = 0.25        # of the time, at most two minutes
MEMORY_SECONDS = 240  # a shorter soak tells what is held and does not judge it: threads and arenas still come
HEALTH_SECONDS = 10
CANARY = [{"role": "user", "content": "What are the benefits of regular exercise?"}]
GOOD = {"model": "default", "max_tokens": 40, "messages": [{"role": "user", "content": "Name five rivers."}]}
SENSELESS = [
    b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 100000, b'{"model": "default"}',
    *(json.dumps({**GOOD, **fields}).encode() for fields in [
        {"model": "other"}, {"model": 7}, {"messages": []}, {"messages": "Hi"}, {"messages": [{"role": "user"}]},
        {"messages": [{"role": "nobody", "content": "x"}]}, {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {"max_tokens": 0}, {"max_tokens": -1}, {"max_tokens": 1e300}, {"n": 1000}, {"temperature": 1e9}, {"top_p": "x"},
        {"stop": ["a"] * 9}, {"stop": [""]}, {"logit_bias": {"x": 1}}, {"logit_bias": {"999999999": 1}}, {"tools": [{}]},
        {"nobody_knows": 1}, {"anabranch": {"mode": "sideways"}}, {"seed": 2**70}, {"stream_options": {}}, {"timeout": -1},
        {"messages": [{"role": "user", "content": "word " * 9000}]}])]


@dataclasses.dataclass
class Soak:
    server: servers.Server
    endpoint: Endpoint
    end: float
    questions: list
    seed: int
    counts: dict = dataclasses.field(default_factory=dict)
    mistakes: list = dataclasses.field(default_factory=list)
    memory: list = dataclasses.field(default_factory=list)  # (time, bytes)

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def is_over(self):
        return clock() >= self.end

    def mistake(self, text):
        if len(self.mistakes) < 20:
            self.mistakes.append(text)


async def user(soak, client, number):
    """Asks and reads. Being told to come again is part of the game, anything else that fails is not."""
    for conversation in conversations(soak.questions, f"{soak.seed} user {number}"):
        if soak.is_over():
            return
        answers = []
        await talk(client, soak.endpoint, conversation, answers, max_tokens=120)
        for answer in answers:
            refused = answer.error.startswith(("HTTP 429", "HTTP 400")) and (
                "too many requests" in answer.error or "context_length_exceeded" in answer.error)
            soak.count("told to come again, or too long" if refused else "failed" if answer.error else "answered")
            if answer.error and not refused and not soak.is_over():
                soak.mistake(f"a user's request failed: {answer.error}")


async def vandal(soak, client, number):
    """Damaged and senseless requests, wrong paths and methods: refused in OpenAI's form, never with 5xx."""
    chance = random.Random(f"{soak.seed} vandal {number}")
    while not soak.is_over():
        if chance.random() < 0.1:
            method, path = chance.choice([("DELETE", "/health"), ("GET", "/v1/chat/completions"), ("GET", "/none"),
                                          ("POST", "/v1/models"), ("GET", "/v1/passes?after=x"), ("PUT", "/v1/completions")])
            body = b""
        else:
            method, path = "POST", chance.choice(["/v1/chat/completions", "/v1/chat/completions", "/v1/completions"])
            body = servers.damaged(json.dumps(GOOD).encode(), chance) if chance.random() < 0.6 else chance.choice(SENSELESS)
        reply = await client.request(method, soak.endpoint.url + path, content=body, headers={"Content-Type": "application/json"})
        soak.count(f"abuse answered with {reply.status_code}")
        is_error = isinstance(reply.json().get("error"), dict) if reply.status_code != 405 or reply.content else True
        if reply.status_code >= 500 or is_error != (reply.status_code != 200):
            soak.mistake(f"{method} {path} {body[:200]!r}: {reply.status_code} {reply.text[:200]}")
        await asyncio.sleep(chance.expovariate(4))


def request_bytes(body):
    data = json.dumps(body).encode()
    return b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + \
        b"Content-Length: %d\r\n\r\n" % len(data) + data


async def deserter(soak, number):
    """Goes: in the middle of its request, before the answer, or in the middle of it."""
    chance = random.Random(f"{soak.seed} deserter {number}")
    while not soak.is_over():
        data = request_bytes({**GOOD, "max_tokens": 400, "stream": chance.random() < 0.7, "n": chance.choice([1, 1, 1, 3])})
        reader, writer = await asyncio.open_connection("127.0.0.1", soak.server.port)
        writer.write(data[:chance.randrange(1, len(data))] if chance.random() < 0.3 else data)
        with contextlib.suppress(ConnectionError, TimeoutError):
            await asyncio.wait_for(reader.read(chance.randint(1, 5000)), chance.uniform(0.01, 1.0))
        writer.transport.abort() if chance.random() < 0.5 else writer.close()
        soak.count("left in the middle")
        await asyncio.sleep(chance.expovariate(2))


async def slow_reader(soak, number):
    """Takes its answer a few bytes at a time; some lose patience."""
    chance = random.Random(f"{soak.seed} slow {number}")
    while not soak.is_over():
        reader, writer = await asyncio.open_connection("127.0.0.1", soak.server.port, limit=256)
        writer.write(request_bytes({**GOOD, "stream": True}))
        with contextlib.suppress(ConnectionError):
            text = b""
            while not soak.is_over() and b"[DONE]" not in text and chance.random() > 0.002:
                piece = await reader.read(chance.randint(1, 400))
                if not piece:
                    break
                text = (text + piece)[-100:]
                await asyncio.sleep(0.02)
        writer.close()
        soak.count("read slowly")


async def impatient(soak, client, number):
    """Sets timeouts, and asks for several answers with log-probabilities."""
    chance = random.Random(f"{soak.seed} impatient {number}")
    while not soak.is_over():
        answer = await ask(client, soak.endpoint, GOOD["messages"], max_tokens=2000, timeout=chance.uniform(0.05, 2),
                           n=chance.choice([1, 2]), logprobs=True, top_logprobs=2, priority=chance.randint(-2, 2))
        soak.count("ended by its timeout")
        if answer.error and "too many requests" not in answer.error:
            soak.mistake(f"a request with a timeout failed: {answer.error}")
        await asyncio.sleep(chance.expovariate(1))


async def canary(soak, client):
    """The text of one question, all the time: it may not depend on what the others do."""
    fields = {"max_tokens": 60, "anabranch": {"reuse_prefix": False}, "priority": 3}
    expected = None
    while not soak.is_over():
        answer = await ask(client, soak.endpoint, CANARY, **fields)
        if not answer.error:
            soak.count("compared texts")
            expected = expected or answer.text
            if answer.text != expected:
                soak.mistake(f"the canary's text changed: {answer.text!r} instead of {expected!r}")
        await asyncio.sleep(3)


async def nurse(soak, client, seconds):
    """Is it there, and how much does it hold?"""
    begin, told = clock(), clock()
    while not soak.is_over():
        await asyncio.sleep(1)
        if soak.server.process.poll() is not None:
            soak.mistake(f"the server died with status {soak.server.process.returncode}: {soak.server.log[-5:]}")
            soak.end = 0
            return
        try:
            reply = await client.get(soak.endpoint.url + "/health", timeout=HEALTH_SECONDS)
            if reply.status_code != 200:
                soak.mistake(f"/health: {reply.status_code}")
        except httpx2.HTTPError as error:
            soak.mistake(f"/health: {error!r}")
        soak.memory.append((clock() - begin, soak.server.memory()))
        if clock() - told >= 15:
            told = clock()
            print(f"  {told - begin:5.0f} of {seconds:.0f} s, {soak.memory[-1][1] / 1e6:.0f} MB, {sum(soak.counts.values())} requests,"
                  f" {len(soak.mistakes)} mistakes", file=sys.stderr, flush=True)


async def all_of_them(soak, seconds):
    async with make_client() as client:
        tasks = [nurse(soak, client, seconds), canary(soak, client), impatient(soak, client, 0)]
        tasks += [user(soak, client, k) for k in range(6)]
        tasks += [vandal(soak, client, k) for k in range(2)]
        tasks += [deserter(soak, k) for k in range(3)]
        tasks += [slow_reader(soak, k) for k in range(4)]
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, BaseException):
                soak.mistake(f"a client failed: {result!r}")


def growth(memory, seconds):
    """Resident bytes behind the warm-up and at the end, medians of a tenth of the time each."""
    warm = min(WARM_UP * seconds, 120)
    def near(begin):
        return statistics.median([held for when, held in memory if begin <= when <= begin + seconds / 10] or [0])
    return near(warm), near(seconds * 0.9)


def main(options):
    seconds = options.soak
    with servers.anabranch_server(options.program, "auto", MAX_OPEN, CONTEXT) as server:
        server.log.clear()
        soak = Soak(server, Endpoint("soak", f"http://127.0.0.1:{server.port}", fields=servers.GREEDY), clock() + seconds,
                    read_questions(options.questions), options.seed)
        asyncio.run(all_of_them(soak, seconds))
        metrics = {}
        if server.process.poll() is None:
            try:
                metrics = server.wait_until_idle(120)
            except AssertionError as error:
                soak.mistake(str(error))
    if server.process.returncode != 0:
        soak.mistake(f"the server ended with status {server.process.returncode}")
    before, after = growth(soak.memory, seconds)
    if seconds >= MEMORY_SECONDS and after > before * (1 + MOST_GROWTH):
        soak.mistake(f"memory grew from {before / 1e6:.1f} to {after / 1e6:.1f} MB")
    for what, n in sorted(soak.counts.items()):
        print(f"{n:8}  {what}")
    if metrics:
        print(f"pages: {metrics['anabranch_pages']:.0f}, of them {metrics['anabranch_pages_free']:.0f} free and "
              f"{metrics['anabranch_pages_kept']:.0f} kept; preempted {metrics['anabranch_preemptions_total']:.0f} times, "
              f"{metrics['anabranch_disconnects_total']:.0f} clients went")
    for text in soak.mistakes:
        print(f"MISTAKE: {text}")
    print(f"soak: {seconds:.0f} s, memory {before / 1e6:.1f} MB behind the warm-up, {after / 1e6:.1f} MB at the end "
          f"({100 * (after / before - 1) if before else 0:+.1f} %), {len(soak.mistakes)} mistakes")
    return 1 if soak.mistakes else 0
