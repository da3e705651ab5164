"""examples/train/run data, train and evaluate on the real model, small; and what they leave."""
import json
import os
import shutil
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = Path(os.environ["ANABRANCH_TRAIN_DIR"])


def start(*arguments):
    command = [ROOT / "examples/train/run", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=WORK.parent)


def run(*arguments):
    result = start(*arguments)
    if result.returncode != 0:
        raise AssertionError(f"examples/train/run {arguments}: status {result.returncode}\n{result.stdout[-4000:]}")


def lines(name):
    return [json.loads(line) for line in (WORK / name).read_text().splitlines() if line]


def branches(sample):
    return [b for part in sample["parts"] for b in part.get("branches", [])]


class Chain(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shutil.rmtree(WORK, ignore_errors=True)
        run("data")
        run("train")
        run("evaluate")

    def test_every_prompt_is_answered_and_every_answer_judged(self):
        asked = {line["id"] for line in lines("prompts.jsonl")}
        answered = {line["prompt_id"] for line in lines("answers.jsonl")}
        self.assertGreaterEqual(len(asked), 8)
        self.assertEqual(answered, asked)
        judged = len(lines("candidates.jsonl")) + len(lines("candidates.jsonl.rejected"))
        self.assertEqual(judged, len(answered))
        self.assertTrue(all(line["reasons"] for line in lines("candidates.jsonl.rejected")))
        self.assertEqual([line["id"] for line in lines("candidates.metrics.jsonl")],
                         [line["id"] for line in lines("candidates.jsonl")])

    def test_training_data_is_the_best_of_each_prompt(self):
        kept = lines("data/train.jsonl") + lines("data/validation.jsonl")
        counts = json.loads((WORK / "data/counts.json").read_text())
        self.assertEqual(len(kept), counts["branching kept"] + counts["serial kept"])
        self.assertEqual(len({s["prompt"] for s in kept}), len(kept))
        self.assertEqual(sum(len(branches(s)) for s in kept), counts["branches kept"])
        self.assertTrue(any(branches(s) for s in kept) and not all(branches(s) for s in kept))

    def test_both_ways_of_training_learn(self):
        for way, markup in ("aspd", "aspd"), ("v-seq", "serial"):
            log = [json.loads(line) for line in (WORK / way / "log.jsonl").read_text().splitlines()]
            losses = [entry["loss"] for entry in log if "loss" in entry]
            self.assertGreaterEqual(len(losses), 2)
            self.assertLess(min(losses[1:]), losses[0])  # steps are of different samples, and there are few
            self.assertEqual(json.loads((WORK / way / "anabranch.json").read_text())["markup"], markup)
            self.assertLess((WORK / way / "adapter_model.safetensors").stat().st_size, 12_000_000)
            self.assertIn("<svg", (WORK / way / "curve.svg").read_text())

    def test_every_question_is_answered_in_every_way(self):
        results = lines("results.jsonl")
        by_way = {}
        for line in results:
            by_way.setdefault(line["way"], {})[line["set"], line["id"]] = line
        self.assertEqual(set(by_way), {"aspd", "aspd one after another", "v-seq", "untouched"})
        self.assertTrue(all(set(by_id) == set(by_way["aspd"]) for by_id in by_way.values()))
        for key, line in by_way["aspd"].items():
            self.assertEqual(line["text"], by_way["aspd one after another"][key]["text"], key)
            self.assertLessEqual(line["passes"], by_way["aspd one after another"][key]["passes"])
        sampled = lines("sampled.jsonl")
        self.assertEqual({(l["way"], l["set"], l["id"]) for l in sampled},
                         {(l["way"], l["set"], l["id"]) for l in results})
        self.assertNotEqual([l["text"] for l in sampled], [l["text"] for l in results])
        report = (WORK / "report.md").read_text()
        for expected in ("PPD", "repeated 4-grams", "relevance", "Speed", "First answers: v-seq",
                         "## questions/nine_kinds, sampled"):
            self.assertIn(expected, report)

    def test_a_benchmark_is_read_from_the_file_that_the_caller_names_and_the_card_keeps_its_questions_out(self):
        text = "Which colours does the made-up flag of the made-up land have?"
        (WORK / "made_up_bench").mkdir()
        question = {"question_id": 1, "category": "generic", "turns": [text, "And why?"]}
        (WORK / "made_up_bench/question.jsonl").write_text(json.dumps(question) + "\n")
        results = [(WORK / name).read_text() for name in ("results.jsonl", "sampled.jsonl")]
        self.addCleanup(lambda: [(WORK / name).write_text(before) for name, before in zip(("results.jsonl", "sampled.jsonl"), results)])
        run("evaluate", "--questions", f"{WORK.name}/made_up_bench/question.jsonl")
        self.assertEqual(len([line for line in lines("results.jsonl") if line["question"] == text]), 4)
        run("card")
        card, report = (WORK / "card.md").read_text(), (WORK / "report.md").read_text()
        self.assertIn(text, report)
        self.assertNotIn(text, card)
        self.assertIn("### made_up_bench/question", card)
        self.assertIn("### Questions of our own\n", card)
        self.assertIn("unpicked: aspd, Questions of our own", card)
        self.assertIn("unpicked: aspd, Questions whose answers have no parts", card)

    def test_questions_that_cannot_be_read_are_named(self):
        result = start("evaluate", "--questions", "no/such.jsonl")
        self.assertEqual(result.returncode, 1)
        self.assertIn("error: no/such.jsonl: cannot be read; expected a file of questions", result.stdout)
        for wrong in (["evaluate", "--questions"], ["evaluate", "questions.jsonl"], ["card", "now"]):
            result = start(*wrong)
            self.assertEqual(result.returncode, 1)
            self.assertIn("error: expected ", result.stdout)

    def test_the_model_card_counts_what_is_there(self):
        if not (WORK / "card.md").exists():
            run("card")
        card = (WORK / "card.md").read_text()
        self.assertIn(f"| answers | {len(lines('answers.jsonl'))} |", card)
        self.assertIn(f"| training / validation | {len(lines('data/train.jsonl'))} / ", card)
        self.assertNotIn("$", card.split("## The first answers")[0])

    def test_a_second_run_makes_nothing_again(self):
        before = lines("results.jsonl"), lines("sampled.jsonl")
        run("evaluate")
        self.assertEqual((lines("results.jsonl"), lines("sampled.jsonl")), before)


if __name__ == "__main__":
    unittest.main()
