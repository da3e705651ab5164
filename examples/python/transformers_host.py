#!/usr/bin/env python3
"""Answers questions with a Hugging Face `transformers` model, the branches of each answer decoded together.

    build/venv/bin/python examples/python/transformers_host.py "What are the benefits of regular exercise?"

The library plans every pass; the model runs it with a dense 4-D mask and position ids from the plan, on its own
DynamicCache. That one only ever appends, so a token's column is the order in which it arrived; TransformersHost keeps
the map from slots to columns and nothing else. Weights are float32. The answer is on standard output, progress on
standard error.
"""
import argparse
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "capi/python"))  # the tree's own; not needed once it is installed
import anabranch  # noqa: E402
from anabranch import EventKind, Reason  # noqa: E402
from transformers_text import ByteLevelText, markup_of, markup_settings, positions_of

import numpy as np
import torch
from transformers import AutoModelForCausalLM, DynamicCache, PreTrainedTokenizerFast


class TransformersHost:
    """Runs the plans of one cache on a `transformers` model: a plan in, logits [n_outputs, vocabulary] out.

    Columns of tokens that no sequence sees any more stay where they are, hidden by the mask.
    """

    def __init__(self, model):
        self.model, self.past = model, DynamicCache(config=model.config)
        self.columns = np.empty(0, np.int32)  # [n_slots]
        self.n_columns = self.n_before = 0  # after and before the last pass
        self.n_logits = 0  # rows of logits that were computed

    def __call__(self, plan):
        self.n_before = self.n_columns
        if not plan.n_rows:
            return None
        if len(self.columns) < plan.n_slots:
            self.columns = np.full(plan.n_slots, anabranch.abi.NONE, np.int32)
        self.n_columns += plan.n_rows
        self.columns[np.asarray(plan.slots)] = np.arange(self.n_before, self.n_columns, dtype=np.int32)
        rows = [output.row for output in plan.outputs]
        with torch.inference_mode():
            logits = self.model(
                input_ids=torch.tensor(plan.tokens, dtype=torch.long)[None],
                position_ids=torch.tensor(plan.positions, dtype=torch.long)[None],
                attention_mask=torch.from_numpy(np.asarray(plan.mask(self.columns, self.n_columns)))[None, None],
                past_key_values=self.past,
                use_cache=True,
                logits_to_keep=torch.tensor(rows, dtype=torch.long),  # these rows' logits, no others
            ).logits[0]
        self.n_logits += len(logits)
        return logits.contiguous().numpy() if rows else None

    def abort(self):
        """The last pass is given up: what it appended, whole or in part, goes. Its slots were seen by nobody else."""
        for layer in self.past.layers:
            layer.crop(-max(0, layer.get_seq_length() - self.n_before))
        self.n_columns = self.n_before


class Progress:
    """Tells on standard error how an answer comes along."""

    def __init__(self, stream):
        self.stream, self.terminal = stream, stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.n_passes = self.n_tokens = self.n_open = 0

    def say(self, text):
        self.stream.write(("\r\033[K" if self.terminal else "") + text + "\n")

    def show(self, event, titles):
        if event.kind == EventKind.TOKEN and event.text:
            self.n_tokens += 1
        elif event.kind == EventKind.FORK and event.n_branches:
            self.n_open += event.n_branches
            self.say(f"pass {self.n_passes}: {event.n_branches} branches: " + ", ".join(titles))
        elif event.kind == EventKind.BRANCH_END:
            self.n_open -= 1
            self.say(f"pass {self.n_passes}: branch {event.branch} ended: {event.reason.name.lower()}")

    def end_pass(self):
        self.n_passes += 1
        if self.terminal:
            self.stream.write(f"\r\033[Kpass {self.n_passes}, {self.n_tokens} tokens, {self.n_open} branches open")
        elif self.n_passes % 25 == 0:
            self.say(f"pass {self.n_passes}: {self.n_tokens} tokens, {self.n_open} branches open")
        self.stream.flush()


class RequestLoop:
    """The model with everything that stays the same from question to question."""

    def __init__(self, options):
        self.options = options
        self.stopped = threading.Event()  # ends an answer; it has the text so far
        self.lib = anabranch.load(options.library)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(options.model)  # tokenizer.json as it is
        self.model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
        self.text = ByteLevelText(tokenizer)
        settings = markup_settings(options.model, tokenizer.chat_template)
        self.markup_name = settings["markup"] if options.markup == "model" else options.markup
        self.mode = "serial" if options.mode == "serial" or self.markup_name == "serial" else "parallel"
        skeleton = {"max_points": options.max_branches,
                    "n_vocabulary": min(self.text.n_tokens, self.model.config.vocab_size)}
        aspd = {"max_titles": options.max_branches, "unique_titles": 1, "well_formed": 1}
        self.markup = markup_of(self.markup_name, settings, self.text, {"skeleton": skeleton, "aspd": aspd})
        self.positions = {"sequential": 0, "longest": -1}.get(options.positions, positions_of(settings))

    def decoder(self, n_prompt):
        """A decoder on a fresh cache that one answer of this length fits into."""
        o, page_size, config = self.options, 16, self.model.config
        # What is sampled, forced tags and titles, and for every branch a page that it does not fill.
        n_slots = n_prompt + o.max_tokens + 64 + 64 * o.max_branches
        n_pages = n_slots // page_size + 2 * (o.max_branches + 4)
        cache = self.lib.cache(n_pages=n_pages, page_size=page_size, max_position=config.max_position_embeddings)
        ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
        return self.lib.decoder(
            cache, markup=self.markup, tokenizer=self.text, end_of_text=ends, positions=self.positions,
            max_branches=o.max_branches, max_tokens=o.max_tokens, max_branch_tokens=o.max_branch_tokens, max_rows=256)

    def answer(self, question, progress, number=0):
        """What one JSON line of the answer holds. Questions with different numbers draw different random numbers."""
        o, prompt = self.options, self.text.prompt(question)
        decoder, host = self.decoder(len(prompt)), TransformersHost(self.model)
        begin, request, n_open, seconds, n_parallel = time.monotonic(), 0, 0, 0.0, 0

        def run_pass(plan):
            nonlocal seconds
            pass_begin = time.monotonic()
            logits = host(plan)
            seconds += time.monotonic() - pass_begin if n_open else 0.0
            progress.end_pass()
            return logits

        run_pass.abort = host.abort
        sampling = {"temperature": o.temperature, "top_k": o.top_k, "top_p": o.top_p, "min_p": o.min_p, "seed": o.seed,
                    "number": number, "repetition_penalty": o.repetition_penalty}
        if o.mode == "serial":
            sampling["max_parallel_branches"] = 1
        for event in decoder.run(prompt, run_pass, cancel=self.stopped, **sampling):
            request, titles = event.request, ()
            if event.kind == EventKind.FORK:
                branches = range(event.first_branch, event.first_branch + event.n_branches)
                titles = [decoder.branch(request, branch).title for branch in branches]
                n_open += bool(titles)
            n_open -= event.kind == EventKind.JOIN
            n_parallel += event.kind == EventKind.TOKEN and event.branch > 0 and not event.forced and event.role == 0
            progress.show(event, titles)
        times = {"seconds": time.monotonic() - begin, "parallel_seconds": seconds, "n_parallel": n_parallel}
        return {"question": question, "markup": self.markup_name, "mode": self.mode, **report(decoder, request), **times}


def report(decoder, request):
    state = decoder.request(request)
    branches = [decoder.branch(request, branch) for branch in range(1, state.n_branches + 1)]
    n_text = state.n_serial + state.n_branch
    return {
        "text": decoder.branch(request).text,
        "end": Reason(state.reason).name.lower(),
        "branches": [{"title": b.title, "text": b.text, "end": b.reason.name.lower()} for b in branches],
        "tokens": n_text,
        "tokens_prompt": state.n_prompt,
        "tokens_sampled": state.n_sampled,
        "tokens_forced": state.n_forced,
        "passes": state.n_passes,
        "passes_serial": state.n_serial_passes,
        "blocks": state.n_blocks,
        "ppd": int(state.n_blocks > 0),
        "abn": state.n_branches / max(state.n_blocks, 1),
        "apd": state.n_branch / max(n_text, 1),
    }


def figures(a):
    """What an answer cost, in three lines."""
    fewer = a["passes_serial"] / a["passes"] if a["passes"] else 1.0
    seconds, parallel = a["seconds"], a["parallel_seconds"]
    shape = f"{a['abn']:.1f} branches a block, {100 * a['apd']:.0f} % of the text in them" if a["ppd"] else "no branches"
    return (
        f"  tokens {a['tokens']} ({a['tokens_sampled']} sampled, {a['tokens_forced']} forced; tags and titles count there)\n"
        f"  passes {a['passes']} (serial: {a['passes_serial']})   {fewer:.1f}x fewer   {shape}\n"
        f"  {seconds:.2f} s   {a['tokens'] / seconds:.1f} tokens/s   "
        f"parallel phase {a['n_parallel'] / parallel if parallel else 0:.1f} tokens/s   ended: {a['end']}\n"
    )


MODEL = "build/models/smollm2-135m"


def questions_of(arguments):
    """Each argument is a question if any holds a blank, else all are words of one. `-` is what standard input holds."""
    quoted = any(len(argument.split()) > 1 or argument != argument.strip() for argument in arguments)
    questions = arguments if quoted else [" ".join(arguments)]
    return [sys.stdin.read().strip() if question == "-" else question for question in questions]


def at_least(least):
    """The type of an argument that the library would take for something else below `least`."""
    def count(text):
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return int(text)

    return count


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0],
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("question", nargs="+",
        help="what to ask: words are one question; several in quotes are answered one after another; -: standard input")
    add("--model", default=argparse.SUPPRESS, help=f"Hugging Face folder (default: {MODEL})")
    add("--library", default=argparse.SUPPRESS, help="libanabranch.so; else as anabranch.load() finds it")
    markups = ["model", "serial", "skeleton", "aspd"]
    add("--markup", default="model", choices=markups, help="serial: no branches; model: what it was trained for")
    add("--mode", default="parallel", choices=["parallel", "serial"],
        help="branches together, or the same markup, mask and positions one branch after another")
    add("--positions", default="model", choices=["model", "sequential", "longest"], help="model: what it was trained with")
    add("--seed", type=int, default=0, help="of sampling")
    add("--temperature", type=float, default=0.0, help="0: always the likeliest token")
    add("--top-k", type=int, default=0, help="sample from the k likeliest; 0: all")
    add("--top-p", type=float, default=1.0, help="sample from the likeliest that reach p together")
    add("--min-p", type=float, default=0.0, help="only tokens at least this many times as likely as the likeliest")
    add("--repetition-penalty", type=float, default=1.0, help="on the tokens of the answer")
    add("--max-tokens", type=at_least(1), default=512, help="sampled tokens of an answer")
    add("--max-branch-tokens", type=at_least(1), default=128, help="of one branch")
    add("--max-branches", type=int, default=8, help="points of an answer")
    add("--threads", type=at_least(0), default=0, help="of torch; 0: its choice")
    add("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object per answer, nothing else on standard output")
    options = argparse.Namespace(json=False, model=str(Path(__file__).resolve().parents[2] / MODEL), library=None)
    parser.parse_intermixed_args(arguments, options)
    options.questions = questions_of(options.question)
    if not all(question.strip() for question in options.questions):
        parser.error("the question is empty")
    return options


def stop_on_interrupt(stopped):
    """Ctrl-C is noted: between two passes it ends the answer. A second one ends the program."""
    def note(*_):
        stopped.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, note)


def main(arguments=None):
    options = parse(arguments)
    if options.threads > 0:
        torch.set_num_threads(options.threads)
    sys.stderr.write(f"loading {options.model}\n")
    try:
        answering = RequestLoop(options)
        stop_on_interrupt(answering.stopped)
        for number, question in enumerate(options.questions):
            progress = Progress(sys.stderr)
            answer = answering.answer(question, progress, number)
            if progress.terminal:
                sys.stderr.write("\r\033[K")
            sequence = json.dumps(answer, ensure_ascii=False)
            print(sequence if options.json else answer["text"], flush=True)
            if not options.json:
                sys.stderr.write(f"\n{figures(answer)}")
            if answering.stopped.is_set():
                raise KeyboardInterrupt
    except (anabranch.Error, OSError, ValueError, OverflowError) as error:
        sys.stderr.write(f"transformers_host.py: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("(stopped)\n")
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
