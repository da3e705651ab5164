"""Questions, and the filter that keeps training prompts away from them: examples/train/word_groups.py, make_prompts.py."""
import collections
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TRAIN = ROOT / "examples/train"
QUESTIONS = TRAIN / "questions"
KINDS = {"generic", "knowledge", "roleplay", "common-sense", "fermi", "counterfactual", "coding", "math", "writing"}
sys.path.insert(0, str(TRAIN))

import word_groups  # noqa: E402


def first_hash(text):
    return int(hashlib.sha256(text.encode()).hexdigest()[:16], 16)


def script(name, *arguments):
    command = [sys.executable, TRAIN / f"{name}.py", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class Folder(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def questions(self, *texts, name="made_up.jsonl"):
        lines = [json.dumps({"question_id": i, "category": "generic", "turns": [text]}) for i, text in enumerate(texts)]
        (self.folder / name).write_text("\n".join(lines) + "\n")
        return self.folder / name

    def hashes(self, *texts):
        out = self.folder / "made_up.groups"
        result = script("word_groups", out, self.questions(*texts))
        self.assertEqual(result.returncode, 0, result.stderr)
        return out

    def error(self, file):
        with self.assertRaises(word_groups.BadFile) as caught:
            word_groups.KeepAway([file])
        self.assertTrue(str(caught.exception).startswith(str(file)), caught.exception)
        return str(caught.exception)


class Filter(Folder):
    def test_a_group_is_hashed_as_the_documentation_says(self):
        self.assertEqual(word_groups.groups("One,  TWO don't", 3), {first_hash("one two don't")})
        self.assertEqual(word_groups.groups("one two", 3), set())
        self.assertEqual(word_groups.groups("a b c d", 3), {first_hash("a b c"), first_hash("b c d")})

    def test_a_text_is_alike_by_six_words_in_a_row_or_by_more_than_half_of_its_groups_of_three(self):
        away = word_groups.KeepAway([self.hashes("Why does the old clock strike thirteen at noon?")])
        self.assertTrue(away.alike("Tell me in your own plain words, why does the old clock strike so late today?"))
        self.assertFalse(away.alike("Tell me in your own plain words, why does the old clock go so late today?"))
        self.assertTrue(away.alike("The old clock strike, today"))  # two groups of three
        self.assertFalse(away.alike("The old clock strike today, or not"))  # two groups of five
        self.assertEqual(away.shared_part("The old clock strike, today"), 2 / 3)

    def test_hashes_keep_away_from_what_the_questions_keep_away_from(self):
        texts = ["How many clocks tick in a small town?", "Name two rivers that never freeze in the winter months."]
        hashes, questions = word_groups.KeepAway([self.hashes(*texts)]), word_groups.KeepAway([self.questions(*texts)])
        self.assertEqual((hashes.short, hashes.long), (questions.short, questions.long))
        self.assertEqual(len(hashes.short), 14)
        content = (self.folder / "made_up.groups").read_bytes()
        head, _, numbers = content.partition(b"\n")
        self.assertEqual(head, b"anabranch word groups: 14 of 3 words, 8 of 6 words")
        self.assertEqual(len(numbers), 8 * 22)
        self.assertEqual(int.from_bytes(numbers[:8], "big"), min(questions.short))

    def test_a_prompt_that_resembles_a_question_is_left_out(self):
        plain = script("make_prompts", self.folder / "all.jsonl")
        away = script("make_prompts", self.folder / "some.jsonl", "--keep-away-from",
                      self.hashes("Please: what are some good ways to train a puppy?"))
        before, after = [{json.loads(line)["prompt"] for line in (self.folder / f"{name}.jsonl").read_text().splitlines()}
                         for name in ("all", "some")]
        # All prompts of this form begin with the same six words; the others differ before "to train a puppy".
        gone = before - after
        self.assertIn("What are some good ways to train a puppy?", gone)
        self.assertTrue(all("good ways to" in prompt for prompt in gone), gone)
        self.assertIn("Give me some tips on how to train a puppy.", after)
        self.assertIn(" 0 left out", plain.stderr)
        self.assertIn(f" {len(gone)} left out", away.stderr)

    def test_files_that_cannot_be_used_are_named_with_line_and_what_is_wanted(self):
        broken = self.folder / "broken.jsonl"
        for text, line, wanted in (("", None, "expected questions"), ('{"turns": ["a"]}\n\n{"turns": ["a"', 3, "a JSON object"),
                                   ('{"turns": []}', 1, '"turns"'), ('{"question": "a"}', 1, '"prompt"'), ("[1]", 1, "a JSON object"),
                                   ('{"turns": [1]}', 1, 'a list of texts "turns"')):
            broken.write_text(text)
            error = self.error(broken)
            self.assertIn(wanted, error)
            if line:
                self.assertIn(f"broken.jsonl, line {line}: expected ", error)
        self.assertIn("cannot be read", self.error(self.folder / "missing.jsonl"))
        result = script("make_prompts", self.folder / "out.jsonl", "--keep-away-from", broken)
        self.assertEqual(result.returncode, 1)
        self.assertIn("error: " + str(broken) + ", line 1: expected", result.stderr)

    def test_damaged_hashes_are_refused(self):
        whole = self.hashes("How many clocks tick in a small town?").read_bytes()
        damaged = self.folder / "damaged.groups"
        self.assertIn("cannot be read", self.error(damaged))
        for content, wanted in ((whole[:-1], "expected 9 hashes of 8 bytes, found 71 bytes"), (whole[1:], "line 1: expected"),
                                (whole[:-16] + whole[-8:] + whole[-16:-8], "ascending"), (b"", "line 1: expected")):
            damaged.write_bytes(content)
            self.assertIn(wanted, self.error(damaged))


class Shipped(Folder):
    def test_our_own_questions_are_of_the_nine_kinds_and_of_the_layout_of_benchmarks(self):
        lines = [json.loads(line) for line in (QUESTIONS / "nine_kinds.jsonl").read_text().splitlines()]
        self.assertGreaterEqual(len(lines), 80)
        self.assertEqual(set(collections.Counter(line["category"] for line in lines)), KINDS)
        self.assertEqual([line["question_id"] for line in lines], list(range(1, len(lines) + 1)))
        self.assertTrue(all(set(line) == {"question_id", "category", "turns"} and len(line["turns"]) == 1 for line in lines))
        self.assertEqual(len({line["turns"][0] for line in lines}), len(lines))
        self.assertEqual({line["category"] for line in lines[:9]}, KINDS)

    def test_no_question_of_our_own_has_six_words_in_a_row_of_a_benchmark(self):
        away = word_groups.KeepAway([QUESTIONS / "benchmarks.groups"])
        for (text,) in word_groups.read_questions(QUESTIONS / "nine_kinds.jsonl"):
            self.assertFalse(word_groups.groups(text, 6) & away.long, text)
            self.assertFalse(away.alike(text), text)

    def test_the_hashes_of_benchmarks_are_whole(self):
        content = (QUESTIONS / "benchmarks.groups").read_bytes()
        head, _, numbers = content.partition(b"\n")
        self.assertEqual(head, b"anabranch word groups: 5879 of 3 words, 5518 of 6 words")
        self.assertEqual(len(numbers), 8 * (5879 + 5518))
        away = word_groups.KeepAway([QUESTIONS / "benchmarks.groups"])
        self.assertEqual((len(away.short), len(away.long)), (5879, 5518))

    def test_our_own_questions_take_no_prompt_away_that_benchmarks_leave(self):
        files = [QUESTIONS / "benchmarks.groups", QUESTIONS / "nine_kinds.jsonl"]
        for out, keep_away in ("benchmarks.jsonl", files[:1]), ("both.jsonl", files):
            result = script("make_prompts", self.folder / out, "--keep-away-from", *keep_away)
            self.assertIn("3316 prompts; 2 left out", result.stderr)
        self.assertEqual((self.folder / "benchmarks.jsonl").read_bytes(), (self.folder / "both.jsonl").read_bytes())

    def test_the_card_shows_answers_to_questions_of_our_own_alone(self):
        own = {turns[0] for name in ("nine_kinds", "serial") for turns in word_groups.read_questions(QUESTIONS / f"{name}.jsonl")}
        shown = re.findall(r"^\*\*(.*)\*\* \(\d+ branches, \d+ passes\)$", (TRAIN / "adapters/README.md").read_text(), re.MULTILINE)
        self.assertGreaterEqual(len(shown), 9)
        self.assertEqual(set(shown) - own, set())


if __name__ == "__main__":
    unittest.main()
