"""Conversations for a load, drawn from files of questions: the same seed draws the same ones, for every server."""
import dataclasses
import json
import random

# Of ten conversations: a question alone, one behind the system prompt of a tenant, a chat of several turns.
MIX = [("question", 5), ("tenant", 3), ("chat", 2)]
FOLLOW_UPS = ["Say that again in two sentences.", "Which of these matters most, and why?", "Give me an example.",
              "What would you do first?", "What speaks against it?"]
N_TURNS = 3  # of a chat whose line in the file has fewer
RULES = ("Answer in plain words and in short sentences. Say when you are not sure. Never ask for passwords, card numbers "
         "or other things that nobody should send. When a question is about health, law or money, say that a person who "
         "knows the case should be asked. When a question has several parts, answer each of them. Be kind to people who "
         "are angry. Do not promise dates. Do not name other customers. ")
TENANTS = [f"You are the assistant of {name}. {RULES}The customers of {name} {habit}."
           for name, habit in [("a public library in a small town", "like to hear which shelf to look at"),
                               ("a shop for bicycles", "mostly repair things themselves"),
                               ("a railway company", "are often on their way and read on a phone"),
                               ("a school of gardening", "have just begun and know few names of plants")]]


@dataclasses.dataclass(frozen=True)
class Conversation:
    kind: str
    system: str  # empty: none
    turns: tuple[str, ...]


def read_questions(files):
    """The turns of each line, {"turns": [...]} or {"prompt": "..."}; ends the program at a line that is neither."""
    questions = []
    for file in files:
        with open(file, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    fields = json.loads(line)
                    turns = fields["turns"] if "turns" in fields else [fields["prompt"]]
                    if not turns or not all(isinstance(turn, str) and turn for turn in turns):
                        raise ValueError("no text")
                except (ValueError, KeyError, TypeError) as error:
                    raise SystemExit(f'{file}:{number}: expected {{"turns": [...]}} or {{"prompt": "..."}}: {error}')
                questions.append(tuple(turns))
    if not questions:
        raise SystemExit(f"no question in {', '.join(map(str, files))}")
    return questions


def conversations(questions, seed):
    """Without end."""
    chance = random.Random(seed)
    kinds, weights = zip(*MIX)
    while True:
        kind = chance.choices(kinds, weights)[0]
        turns = chance.choice(questions)
        system = chance.choice(TENANTS) if kind == "tenant" else ""
        if kind == "chat":
            turns += tuple(chance.sample(FOLLOW_UPS, max(0, N_TURNS - len(turns))))
        else:
            turns = turns[:1]
        yield Conversation(kind, system, turns)


def arrivals(rate, seed):
    """Seconds at which conversations begin, without end: a Poisson process of `rate` a second."""
    chance, now = random.Random(seed), 0.0
    while True:
        now += chance.expovariate(rate)
        yield now
