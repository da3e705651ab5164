"""The parts of bench/serving that need no server: what is asked, and what is made of the answers."""
import itertools
import json
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench" / "serving"))
import client  # noqa: E402
import report  # noqa: E402
import workload  # noqa: E402

QUESTIONS = workload.read_questions(sorted((ROOT / "examples/train/questions").glob("*.jsonl")))


def first(n, seed):
    return list(itertools.islice(workload.conversations(QUESTIONS, seed), n))


def answer(begun, times, n_useful, error=""):
    made = client.Answer("question", begun, "x", [(when, 1, 1) for when in times], times[-1] if times else begun, error)
    made.n_useful = n_useful
    return made


class Workload(unittest.TestCase):
    def test_the_same_seed_asks_the_same(self):
        self.assertEqual(first(200, "1 closed 8 0"), first(200, "1 closed 8 0"))
        self.assertNotEqual(first(200, "1 closed 8 0"), first(200, "2 closed 8 0"))

    def test_all_kinds_are_asked_and_are_what_they_are_called(self):
        kinds = {}
        for conversation in first(400, 1):
            kinds.setdefault(conversation.kind, []).append(conversation)
        self.assertEqual(set(kinds), {"question", "tenant", "chat"})
        self.assertTrue(all(len(c.turns) == 1 and not c.system for c in kinds["question"]))
        self.assertTrue(all(c.system in workload.TENANTS for c in kinds["tenant"]))
        self.assertEqual({c.system for c in kinds["tenant"]}, set(workload.TENANTS))
        self.assertTrue(all(len(c.turns) == workload.N_TURNS for c in kinds["chat"]))

    def test_arrivals_come_at_their_rate_and_by_chance(self):
        times = list(itertools.islice(workload.arrivals(4.0, 3), 4000))
        self.assertAlmostEqual(times[-1] / 4000, 0.25, delta=0.02)
        gaps = [b - a for a, b in zip(times, times[1:])]
        self.assertAlmostEqual(sum(gap > 0.25 for gap in gaps) / len(gaps), 0.368, delta=0.03)  # exp(-1)

    def test_a_line_that_asks_nothing_is_named(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.write('{"prompt": "A?"}\n{"turns": []}\n')
            file.flush()
            with self.assertRaisesRegex(SystemExit, ":2: expected"):
                workload.read_questions([file.name])


class Measures(unittest.TestCase):
    def test_percentiles_are_the_nearest_rank(self):
        values = list(range(100, 0, -1))
        self.assertEqual(report.percentiles(values), {"p50": 50, "p95": 95, "p99": 99})
        self.assertEqual(report.percentiles([7.0]), {"p50": 7.0, "p95": 7.0, "p99": 7.0})
        self.assertEqual(report.percentiles([]), {"p50": None, "p95": None, "p99": None})

    def test_goodput_is_of_answers_that_come_fast_enough(self):
        fast = answer(10.0, [10.5, 11.0, 11.5], 21)              # 1 s for 20 tokens behind the first
        slow = answer(10.0, [10.5, 12.0, 14.5], 21)              # 4 s
        failed = answer(10.0, [], 0, "HTTP 429: later")
        found = report.summarise([fast, slow, failed], 10.0, 20.0, 0.1)
        self.assertAlmostEqual(found["goodput"], 2.1)
        self.assertAlmostEqual(found["tokens_per_second"], 4.2)
        self.assertEqual((found["answers"], found["good_answers"], found["errors"]), (2, 1, 1))
        self.assertEqual(found["first_error"], "HTTP 429: later")
        self.assertAlmostEqual(found["first_token_seconds"]["p50"], 0.5)
        self.assertAlmostEqual(found["answer_seconds"]["p99"], 4.5)

    def test_tokens_that_come_outside_of_the_time_do_not_count(self):
        early = answer(8.0, [9.0, 11.0], 10)   # half of it, and no request of this time
        late = answer(19.0, [19.5, 20.5, 21.0, 21.5], 8)  # a quarter
        found = report.summarise([early, late], 10.0, 20.0, 10.0)
        self.assertAlmostEqual(found["tokens_per_second"], (5 + 2) / 10)
        self.assertEqual(found["answers"], 1)

    def test_what_comes_with_one_pass_is_one_arrival(self):
        made = client.Answer("question", 0.0)
        for when in (1.0, 1.00005, 1.0001, 1.01):
            made.note(when, 1)
        self.assertEqual(made.arrivals, [(1.0, 3, 3), (1.01, 1, 1)])
        self.assertAlmostEqual(made.gaps()[0], 0.01)

    def test_text_is_timed_when_it_is_written_and_read_in_order(self):
        made = client.Answer("question", 0.0)

        def chunk(content, **event):
            fields = {"choices": [{"delta": {"content": content}}]}
            return {**fields, "anabranch": {"event": "token", **event}} if event else fields
        client.take(made, chunk("", role="text", branch=2), 1.0)   # held back
        client.take(made, chunk("", role="tag", branch=1), 2.0)    # no text
        client.take(made, chunk("ab", role="text", branch=1), 3.0)
        client.take(made, {"choices": []}, 4.0)                    # usage
        client.take(made, chunk("c"), 5.0)                         # another server's
        self.assertEqual(made.text, "abc")
        self.assertEqual(made.arrivals, [(1.0, 1, 1), (2.0, 0, 1), (3.0, 1, 1), (5.0, 1, 1)])
        self.assertEqual(made.times_of_text(), [1.0, 3.0, 5.0])
        self.assertEqual(made.gaps(), [1.0, 1.0, 2.0])
        made.n_useful = 3
        self.assertEqual(made.seconds_a_token(), 2.0)
        made.note(8.0, 1)
        made.note(8.0, 1)
        self.assertEqual(made.gaps(), [1.0, 1.0, 2.0, 3.0])
        self.assertEqual(made.between_tokens(), [1.0, 1.0, 2.0, 1.5, 1.5])
        client.take(made, {"error": {"message": "broken"}}, 6.0)
        self.assertEqual(made.error, "broken")

    def test_a_request_is_kept_as_json(self):
        record = json.loads(json.dumps(report.request_record(answer(10.0, [10.5, 11.5], 5), 10.0)))
        self.assertEqual((record["first"], record["largest_gap"], record["seconds_a_token"]), (0.5, 1.0, 0.25))


if __name__ == "__main__":
    unittest.main(verbosity=2)
