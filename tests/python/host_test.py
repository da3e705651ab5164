"""The transformers host on the real model, against the C++ example and against itself.

ANABRANCH_LIBRARY: libanabranch.so; ANABRANCH_MODEL: the model's folder; ANABRANCH_CHAT: the program anabranch_chat.
"""
import contextlib
import ctypes
import functools
import io
import json
import os
import signal
import subprocess
import sys
import unittest
import unittest.mock
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODEL = os.environ.get("ANABRANCH_MODEL", str(ROOT / "build/models/smollm2-135m"))
CHAT = os.environ.get("ANABRANCH_CHAT", "")
QUESTIONS = ["What are the benefits of regular exercise?", "How do plants survive in the desert?",
             "Is <|im_end|> a word, or what else?"]
SETTINGS = ["--max-tokens", "72", "--max-branch-tokens", "10"]
SAME = ["question", "markup", "mode", "text", "end", "branches", "tokens", "tokens_prompt", "passes", "passes_serial",
        "blocks", "ppd", "abn", "apd"]

if not Path(MODEL, "config.json").exists():
    print(f"skipped: no model at {MODEL}")
    sys.exit(77)
sys.path[:0] = [str(ROOT / "examples/python"), str(ROOT / "capi/python")]
import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers_host as host_program  # noqa: E402

# The program is run several times in this process: its model is loaded once.
host_program.AutoModelForCausalLM.from_pretrained = functools.cache(host_program.AutoModelForCausalLM.from_pretrained)
ANSWERING = host_program.RequestLoop(host_program.parse([*SETTINGS, "--model", MODEL, "a question"]))


def run_host(*arguments):
    """(exit status, standard output, standard error) of the program."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = host_program.main([*SETTINGS, "--model", MODEL, *arguments])
    return status, out.getvalue(), err.getvalue()


def run_chat(*arguments):
    """The answers of the C++ example, in float32."""
    command = [CHAT, "--model", MODEL, "--weights", "f32", "--batch", "1", "--json", *SETTINGS, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=280)
    return [json.loads(line) for line in result.stdout.splitlines()]


class AgainstTheCppExample(unittest.TestCase):
    def setUp(self):
        if not CHAT or not Path(CHAT).exists():
            self.skipTest(f"no anabranch_chat to compare with ({CHAT or 'ANABRANCH_CHAT is not set'})")

    def compare(self, *arguments):
        status, out, _ = run_host("--json", *arguments)
        self.assertEqual(status, 0)
        found = [json.loads(line) for line in out.splitlines()]
        expected = run_chat(*arguments)
        self.assertEqual(len(found), len(expected))
        for ours, theirs in zip(found, expected):
            self.assertEqual(ours["text"].encode(), theirs["text"].encode())
            self.assertEqual({key: ours[key] for key in SAME}, {key: theirs[key] for key in SAME})
        return found

    def test_greedy_skeleton_answers_are_the_same_byte_for_byte(self):
        answers = self.compare(QUESTIONS[0], QUESTIONS[2])
        self.assertGreater(max(len(answer["branches"]) for answer in answers), 2)

    def test_so_are_serial_ones_and_those_with_other_positions(self):
        self.compare("--markup", "serial", QUESTIONS[1])
        self.compare("--positions", "longest", QUESTIONS[0])

    def test_one_branch_after_another_the_answer_is_the_same(self):
        few = ["--max-branches", "3", QUESTIONS[0]]  # within the limit of tokens, which all branches share
        single, = self.compare("--mode", "serial", *few)
        parallel, = run_chat(*few)
        self.assertEqual(single["text"], parallel["text"])
        self.assertGreater(single["passes"], parallel["passes"])


class Host(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """The answer that nothing disturbs, which several tests look at, and what its passes show."""
        cls.seen = []
        cls.undisturbed = cls.answer(cls.look)

    @staticmethod
    def answer(on_pass):
        """(text, host, the plans' row and output counts) of the first question, driven pass by pass."""
        prompt = ANSWERING.text.prompt(QUESTIONS[0])
        decoder, host, counts = ANSWERING.decoder(len(prompt)), host_program.TransformersHost(ANSWERING.model), []
        request = decoder.submit(prompt)
        while (plan := decoder.plan()) is not None:
            counts.append((plan.n_rows, len(plan.outputs)))
            if on_pass(len(counts), host, plan):
                decoder.abort()
                host.abort()
                counts.pop()
                continue
            decoder.commit(host(plan))
        return decoder.branch(request).text, host, counts

    def test_only_the_logits_that_are_wanted_are_computed(self):
        _, host, counts = self.undisturbed
        self.assertEqual(host.n_logits, sum(n_outputs for _, n_outputs in counts))
        self.assertLess(host.n_logits, sum(n_rows for n_rows, _ in counts))
        self.assertEqual(host.n_columns, sum(n_rows for n_rows, _ in counts))
        self.assertEqual(host.past.get_seq_length(), host.n_columns)

    def test_ctrl_c_ends_the_answer_with_its_text_so_far(self):
        class Pressed(host_program.Progress):
            def end_pass(self):
                super().end_pass()
                if self.n_passes == 5:
                    os.kill(os.getpid(), signal.SIGINT)

        self.addCleanup(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))
        with unittest.mock.patch.object(host_program, "Progress", Pressed):
            status, out, error = run_host("--json", *QUESTIONS[:2])
        self.assertEqual(status, 130)
        answer, = map(json.loads, out.splitlines())
        self.assertEqual((answer["end"], answer["passes"]), ("cancelled", 5))
        self.assertTrue(error.endswith("(stopped)\n"), error)

    def test_a_pass_that_fails_halfway_is_undone_and_repeated(self):
        undisturbed, _, counts = self.undisturbed
        wide = next(i for i, (n_rows, _) in enumerate(counts, 1) if i > 5 and n_rows > 3)  # the fork
        failed = set()

        def fail_once(number, host, plan):
            if number not in (1, 3, wide, wide + 2) or number in failed:
                return False
            failed.add(number)
            hook = ANSWERING.model.model.layers[11].register_forward_hook(lambda *_: 1 / 0)
            with self.assertRaises(ZeroDivisionError):
                host(plan)
            hook.remove()
            lengths = {layer.get_seq_length() for layer in host.past.layers}
            self.assertEqual(len(lengths), 2)  # some layers had taken the pass, others had not
            return True

        text, host, again = self.answer(fail_once)
        self.assertEqual(len(failed), 4)
        self.assertEqual((text, again), (undisturbed, counts))
        self.assertEqual({layer.get_seq_length() for layer in host.past.layers}, {host.n_columns})

    @classmethod
    def look(cls, number, host, plan):
        """Notes whether numpy and torch see the plan's own memory; the pass goes on."""
        slots, mask = np.asarray(plan.slots), plan.mask()
        tensor = torch.from_numpy(np.asarray(mask))
        shape = tuple(tensor.shape)
        tensor[0, 0] = 7.0
        cls.seen.append({"slots": slots.__array_interface__["data"][0] == ctypes.addressof(plan.struct.slots.contents),
                         "shape": shape == (plan.n_rows, plan.n_slots), "mask": mask[0, 0] == 7.0,
                         "groups": np.ctypeslib.as_array(plan.groups).dtype.names[0] == "row_begin"})
        return False

    def test_numbers_of_a_plan_reach_numpy_and_torch_without_a_copy(self):
        self.assertGreater(len(self.seen), 10)
        for pass_number, seen in enumerate(self.seen):
            self.assertTrue(all(seen.values()), (pass_number, seen))

    def test_text_that_is_cut_inside_a_character_comes_whole(self):
        text = ANSWERING.text
        tokens = text.to_tokens("naïve 🦔 你好\r\n <|im_end|>")
        self.assertEqual(text.to_text(tokens).decode(), "naïve 🦔 你好\r\n <|im_end|>")
        self.assertNotIn(2, tokens)
        self.assertEqual(text.parse("<|im_end|>"), [2])
        self.assertEqual(text.to_text([2]), b"")


class Program(unittest.TestCase):
    def test_it_tells_how_it_comes_along_and_what_it_cost(self):
        status, out, err = run_host("--max-branch-tokens", "5", QUESTIONS[0])
        self.assertEqual(status, 0)
        self.assertRegex(err, r"tokens \d+ \(\d+ sampled, \d+ forced; tags and titles count there\)\n  passes \d+ \(serial: \d+\)"
                              r"   \d\.\dx fewer   \d\.\d branches a block, \d\d % of the text in them\n  \d+\.\d\d s   \d+\.\d tokens/s   parallel phase \d+\.\d tokens/s   ended: finished")
        self.assertRegex(err, r"pass \d+: \d branches: ")
        self.assertRegex(err, r"branch 1 ended: ")

    def test_what_cannot_be_is_told_in_a_line(self):
        for arguments, word in ((["--max-branches", "0", "q"], "max_branches"), (["--markup", "aspd", "q"], "<|branch|>"),
                                (["--model", "/nowhere", "q"], "/nowhere"), (["--seed", "-1", "q"], "-1"),
                                (["--library", "/nowhere.so", "q"], "/nowhere.so")):
            status, out, err = run_host(*arguments)
            self.assertEqual((status, out), (1, ""), arguments)
            self.assertIn(word, err.splitlines()[-1])
        for option, value in (("--max-tokens", "-1"), ("--max-branch-tokens", "0"), ("--threads", "-1")):
            with contextlib.redirect_stderr(io.StringIO()) as err, self.assertRaises(SystemExit):
                host_program.parse([option, value, "q"])
            self.assertIn(f"{option}: {value} is less than", err.getvalue())


if __name__ == "__main__":
    unittest.main()
