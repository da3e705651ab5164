"""One request to a server with OpenAI's API, as a client sees it: when text came, and what went wrong."""
import asyncio
import dataclasses
import json
import time

import httpx2

clock = time.monotonic
TOGETHER = 0.0002  # seconds: text that comes closer than this came with one pass


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """A server, and what it is asked beside the question."""
    name: str
    url: str
    model: str = "default"
    fields: dict = dataclasses.field(default_factory=dict)
    headers: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Answer:
    kind: str
    begun: float
    text: str = ""
    arrivals: list = dataclasses.field(default_factory=list)  # (time, pieces of text, tokens: those and tags)
    ended: float = 0.0
    error: str = ""     # empty: none
    n_useful: int = 0   # tokens of `text`, which has no tags; whoever has the tokenizer sets it

    def times_of_text(self):
        return [when for when, pieces, _ in self.arrivals if pieces]

    def first(self):
        times = self.times_of_text()
        return times[0] - self.begun if times else None

    def gaps(self):
        """Seconds between arrivals; what came with one pass came once."""
        times = [when for when, _, _ in self.arrivals]
        return [b - a for a, b in zip(times, times[1:])]

    def between_tokens(self):
        """Seconds for each token behind the first arrival, tags included: those that come together, as branches write
        them, share the time since the arrival before."""
        return [gap / n for gap, (_, _, n) in zip(self.gaps(), self.arrivals[1:]) for _ in range(n)]

    def seconds_a_token(self):
        """From the first text to the last, by useful tokens."""
        times = self.times_of_text()
        return (times[-1] - times[0]) / max(self.n_useful - 1, 1) if times else None

    def useful_between(self, begin, end):
        """Its useful tokens, by the share of its pieces that came in this time."""
        n = sum(pieces for _, pieces, _ in self.arrivals)
        return self.n_useful * sum(pieces for when, pieces, _ in self.arrivals if begin <= when < end) / n if n else 0.0

    def note(self, now, pieces):
        """A token came, with text or a tag."""
        tokens = 1
        if self.arrivals and now - self.arrivals[-1][0] < TOGETHER:
            now, pieces_before, tokens_before = self.arrivals.pop()
            pieces, tokens = pieces + pieces_before, tokens + tokens_before
        self.arrivals.append((now, pieces, tokens))


def make_client():
    """Without limits of its own on connections; a server that says nothing for two minutes has failed."""
    return httpx2.AsyncClient(timeout=httpx2.Timeout(120), trust_env=False,
                              limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64))


def n_pieces(chunk):
    """Pieces of text that a chunk brings, 0 for a tag; None of none. Anabranch's own field has text when it is written,
    `delta` when all before it in reading order is there."""
    event = chunk.get("anabranch")
    if event is not None:
        return None if event.get("event") != "token" else int(event.get("role") != "tag")
    return 1 if any(choice["delta"].get("content") for choice in chunk["choices"]) else None


def take(answer, chunk, now):
    if "error" in chunk:
        answer.error = str(chunk["error"].get("message", chunk["error"]))
        return
    answer.text += "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
    n = n_pieces(chunk)
    if n is not None:
        answer.note(now, n)


async def read_stream(response, answer):
    rest, is_done = b"", False
    async for piece in response.aiter_raw():
        now = clock()
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"data: {"):
                take(answer, json.loads(line[6:]), now)
            is_done = is_done or line.startswith(b"data: [DONE]")
    if not is_done and not answer.error:
        answer.error = "the stream ended early"


async def ask(client, endpoint, messages, kind="question", **fields):
    """Streams the answer. Whatever goes wrong is the answer's `error`; what was cancelled is raised."""
    answer = Answer(kind, clock())
    body = {"model": endpoint.model, "messages": messages, "stream": True, **endpoint.fields, **fields}
    try:
        async with client.stream("POST", endpoint.url + "/v1/chat/completions", json=body, headers=endpoint.headers) as response:
            if response.status_code == 200:
                await read_stream(response, answer)
            else:
                answer.error = f"HTTP {response.status_code}: {(await response.aread())[:200].decode(errors='replace')}"
    except (httpx2.HTTPError, ValueError, KeyError) as error:
        answer.error = f"{type(error).__name__}: {error}"
    answer.ended = clock()
    return answer


async def talk(client, endpoint, conversation, answers, **fields):
    """All turns of a conversation; a later one carries this server's answers to those before it, as clients do."""
    messages = [{"role": "system", "content": conversation.system}] if conversation.system else []
    for turn in conversation.turns:
        messages.append({"role": "user", "content": turn})
        answer = await ask(client, endpoint, messages, conversation.kind, **fields)
        answers.append(answer)
        if answer.error:
            await asyncio.sleep(0.05)  # a server that refuses everything is not asked in a tight loop
            return
        messages.append({"role": "assistant", "content": answer.text})
