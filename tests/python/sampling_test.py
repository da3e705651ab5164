"""The sampler against transformers' logits processors, and against the formulas of OpenAI and llama.cpp for what these
lack (frequency and presence penalties): the same candidates with the same weights, hence the same token for the same
random number. ANABRANCH_LIBRARY: libanabranch.so."""
import os
import random
import sys
import unittest
from array import array
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, os.environ.get("ANABRANCH_PACKAGE", str(ROOT / "capi/python")))
import anabranch  # noqa: E402
import torch  # noqa: E402
from transformers.generation import logits_process as hf  # noqa: E402

LIB = anabranch.load()
N_VOCABULARY, N_CASES = 40, 400


class Bytes:
    def to_text(self, tokens):
        return bytes(97 + token % 26 for token in tokens)


def random_case(number):
    """(logits, tokens written before, options of the request)."""
    rng = random.Random(number)
    spread = rng.choice([0.5, 3, 8])
    logits = [rng.gauss(0, spread) for _ in range(N_VOCABULARY)]
    seen = [rng.randrange(12) for _ in range(rng.randrange(10))]
    options = {"temperature": rng.choice([0.3, 0.7, 1.0, 1.5]), "seed": number}
    for name, values in (("top_k", [1, 2, 5, 20, 50]), ("top_p", [0.1, 0.5, 0.9, 0.99]), ("min_p", [0.01, 0.1, 0.5, 1.0]),
                         ("repetition_penalty", [0.8, 1.1, 1.5]), ("frequency_penalty", [-0.5, 0.3, 1.2]),
                         ("presence_penalty", [-1.0, 0.4, 2.0])):
        if rng.random() < 0.4:
            options[name] = rng.choice(values)
    if rng.random() < 0.4:
        options["logit_bias"] = {token: rng.choice([-100.0, -1.5, 0.5, 4.0]) for token in rng.sample(range(N_VOCABULARY), 3)}
    return logits, seen, options


def probabilities(logits, seen, options):
    """What transformers samples from; its repetition penalty sees the answer's tokens, as ours does."""
    scores, ids = torch.tensor([logits]), torch.tensor([seen], dtype=torch.long)
    if "logit_bias" in options:
        bias = {(token,): value for token, value in options["logit_bias"].items()}
        scores = hf.SequenceBiasLogitsProcessor(bias)(ids, scores)
    if "repetition_penalty" in options and seen:
        scores = hf.RepetitionPenaltyLogitsProcessor(options["repetition_penalty"])(ids, scores)
    for token in set(seen):  # OpenAI, llama.cpp: count * frequency + presence
        scores[0, token] -= seen.count(token) * options.get("frequency_penalty", 0) + options.get("presence_penalty", 0)
    warpers = [hf.TemperatureLogitsWarper(options["temperature"])]
    for name, warper in (("top_k", hf.TopKLogitsWarper), ("top_p", hf.TopPLogitsWarper), ("min_p", hf.MinPLogitsWarper)):
        if name in options:
            warpers.append(warper(options[name]))
    for warper in warpers:
        scores = warper(ids, scores)
    return torch.softmax(scores[0].double(), -1).tolist()


def sampled(logits, seen, options):
    """(the library's token, the random number that it drew with)."""
    decoder = LIB.decoder(LIB.cache(n_pages=8), tokenizer=Bytes())
    decoder.submit([1], **options)
    for token in seen:
        decoder.plan()
        decoder.commit_sampled([token])
    list(decoder.events())
    decoder.plan()
    uniform = decoder.output(0).uniform
    decoder.commit(memoryview(array("f", logits)).cast("B").cast("f", [1, len(logits)]))
    return next(decoder.events()).token, uniform


def drawn(weights, order, uniform):
    """(the token at which the weights reach the random number, how far that is from the next border)."""
    left = uniform * sum(weights)
    for token in order:
        if left < weights[token]:
            return token, min(left, weights[token] - left)
        left -= weights[token]
    return order[-1], 0.0


class AgainstTransformers(unittest.TestCase):
    def test_the_same_tokens_are_drawn_with_the_same_random_numbers(self):
        n_near, n_cut = 0, 0
        for number in range(N_CASES):
            logits, seen, options = random_case(number)
            weights = probabilities(logits, seen, options)
            with self.subTest(number=number, seen=seen, options=options):
                token, uniform = sampled(logits, seen, options)
                self.assertGreater(weights[token], 0.0)
                likeliest = sorted(range(N_VOCABULARY), key=lambda t: (-weights[t], t))
                order = likeliest if options.get("top_p", 1.0) < 1.0 else range(N_VOCABULARY)
                expected, distance = drawn(weights, order, uniform)
                if options.get("top_k") == 1:
                    expected = likeliest[0]
                near = distance < 1e-5
                n_near += near
                n_cut += weights.count(0.0) > 0
                if not near:
                    self.assertEqual(token, expected)
        self.assertLess(n_near, N_CASES // 20)
        self.assertGreater(n_cut, N_CASES // 4)

    def test_log_probabilities_are_those_of_the_unchanged_distribution(self):
        logits, seen, options = random_case(7)
        expected = torch.log_softmax(torch.tensor(logits).double(), -1)
        decoder = LIB.decoder(LIB.cache(n_pages=8), tokenizer=Bytes())
        decoder.submit([1], n_log_probabilities=5, **options)
        decoder.plan()
        decoder.commit(memoryview(array("f", logits)).cast("B").cast("f", [1, len(logits)]))
        event = next(decoder.events())
        self.assertAlmostEqual(event.log_probability, expected[event.token].item(), places=5)
        top = torch.topk(expected, 5)
        self.assertEqual([token for token, _ in event.top], top.indices.tolist())
        for (_, ours), theirs in zip(event.top, top.values.tolist()):
            self.assertAlmostEqual(ours, theirs, places=5)


if __name__ == "__main__":
    unittest.main()
