"""Gemma 3 270M as GGUF (cmake/setup/gemma.sh: the base model, Q4_K_M) against transformers and llama.cpp.

transformers and llama.cpp get the floats that the file's blocks stand for. Greedily, in float32, all three write the same:
transformers through the library's own reading of the file, llama.cpp from a float32 GGUF file. Of the file as it is,
llama.cpp rounds the inputs of products to 8 bits: its logits are compared with a tolerance. ANABRANCH_GGUF_HOST: both hosts, a
program of this build (gguf_host.cpp). Skipped where build/models/gemma3-270m.gguf is not there.
"""
import copy
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

FILE = Path("build/models/gemma3-270m.gguf")
if not FILE.exists():
    print(f"skipped: no {FILE} (need_gemma in cmake/setup/gemma.sh gets it)")
    sys.exit(77)
import json  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType  # noqa: E402
from gguf.quants import dequantize  # noqa: E402
from transformers import Gemma3ForCausalLM, Gemma3TextConfig  # noqa: E402
from transformers.integrations.gguf.gguf_tokenizer_mapping import convert_gguf_tokenizer  # noqa: E402

from gguf_test import PARTS, TOP  # noqa: E402

HOST = os.environ["ANABRANCH_GGUF_HOST"]
TEXT = Path("examples/custom_loop/document.txt").read_text(encoding="utf-8")
PROMPTS = ["The capital of France is", "def fibonacci(n):\n    ", "Zwei Dinge sind unendlich:", "1, 2, 4, 8, 16,",
           TEXT + " " + TEXT[:800]]  # the last one is longer than the window of 512
LISTS = "\n\n" + "".join(f"{what}. Here are the main points:\n\n1. **{a}**\n2. **{b}**\n3. **{c}**\n\n" for what, a, b, c in
                         (("Fruits", "Apples", "Pears", "Plums"), ("Colours", "Red", "Green", "Blue"))) + "Metals. "
N_TOKENS = 12
TIE = 1e-3  # logits nearer than that may be taken in another order
QUANTISED_TOLERANCE = 2.0  # of logits, llama.cpp's inputs in 8 bits; they are up to 30
LINES = ["  two  spaces   and\n\n\nbreaks\t\ttabs", "<b>bold</b> <unused7> <end_of_turn>", "naïve café 你好 🙂 \u200d",
         "\u2581 mark", "x = {'a': 1_000}  # 12345"]


def hugging_face_name(name):
    module, kind = name.rsplit(".", 1)
    tops = {gguf: folder for folder, gguf in TOP.items()}
    parts = {gguf: folder for folder, gguf in PARTS.items() if "qkv" not in folder and "gate_up" not in folder}
    parts["post_attention_norm"] = "post_attention_layernorm"
    if module in tops:
        return f"{tops[module]}.{kind}"
    _, layer, part = module.split(".")
    return f"model.layers.{layer}.{parts[part]}.{kind}"


def transformers_model(reader, values):
    """The same model, of the floats that the file stands for."""
    field = lambda name: reader.fields[f"gemma3.{name}"].contents()  # noqa: E731
    config = Gemma3TextConfig(
        vocab_size=values["token_embd.weight"].shape[0], hidden_size=field("embedding_length"),
        intermediate_size=field("feed_forward_length"), num_hidden_layers=field("block_count"),
        num_attention_heads=field("attention.head_count"), num_key_value_heads=field("attention.head_count_kv"),
        head_dim=field("attention.key_length"), query_pre_attn_scalar=field("attention.key_length"),
        sliding_window=field("attention.sliding_window"), max_position_embeddings=field("context_length"),
        rms_norm_eps=1e-6, tie_word_embeddings=True)
    with torch.device("meta"):
        model = Gemma3ForCausalLM(config)
    model = model.to_empty(device="cpu")
    state = {hugging_face_name(name): torch.from_numpy(value - 1 if "norm" in name else value)
             for name, value in values.items()}
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    fresh = Gemma3ForCausalLM(Gemma3TextConfig(**{**config.to_dict(), "vocab_size": 8}))  # for buffers
    for name, buffer in fresh.named_buffers():
        owner, _, leaf = name.rpartition(".")
        model.get_submodule(owner).register_buffer(leaf, buffer, persistent=False)
    model.load_state_dict(state, strict=True)
    return model.eval()


def write_float32(reader, values, target):
    writer = GGUFWriter(str(target), "gemma3")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type",
                                                            "general.quantization_version"):
            continue
        inner = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=inner)
    writer.add_file_type(LlamaFileType.ALL_F32)
    for name, value in values.items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def run(*words):
    done = subprocess.run([HOST, *map(str, words)], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return done.stdout


class Gemma(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)
        cls.float32 = cls.folder / "f32.gguf"
        reader = GGUFReader(str(FILE))
        values = {}
        for tensor in reader.tensors:
            value = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
            values[tensor.name] = np.ascontiguousarray(value.reshape([int(n) for n in reversed(tensor.shape)]))
        contents = lambda name: reader.fields[f"tokenizer.ggml.{name}"].contents()  # noqa: E731
        cls.tokenizer, _ = convert_gguf_tokenizer("gemma3", {
            "tokenizer_type": "llama", "pre_tokenizer_type": "default", "tokens": contents("tokens"),
            "scores": contents("scores"), "token_type": contents("token_type")})
        write_float32(reader, values, cls.float32)
        cls.prompts = [[2, *cls.tokenizer.encode(text, add_special_tokens=False).ids] for text in PROMPTS]
        torch.set_num_threads(1)
        model = transformers_model(reader, values)
        cls.expected = []
        with torch.no_grad():
            for prompt in cls.prompts:
                out = model.generate(torch.tensor([prompt]), max_new_tokens=N_TOKENS, do_sample=False, eos_token_id=-1,
                                     output_logits=True, return_dict_in_generate=True,
                                     attention_mask=torch.ones(1, len(prompt), dtype=torch.int64))
                cls.expected.append((out.sequences[0, len(prompt):].tolist(),
                                     np.stack([logits[0].numpy() for logits in out.logits])))
        cls.model = model

    @classmethod
    def tearDownClass(cls):
        del cls.model
        cls.temporary.cleanup()

    def greedy(self, host, file, prompt):
        out = self.folder / "logits"
        tokens = [int(word) for word in run("greedy", host, file, N_TOKENS, out, *prompt).split()]
        return tokens, np.fromfile(out, dtype=np.float32).reshape(N_TOKENS, -1)

    def assert_same_text(self, found, expected, tolerance):
        """The same tokens, until two of nearly equal logits are taken in another order."""
        (tokens, logits), (wanted, wanted_logits) = found, expected
        for i, (token, want) in enumerate(zip(tokens, wanted)):
            self.assertLess(float(np.abs(logits[i] - wanted_logits[i]).max()), tolerance)
            if token != want:
                self.assertLess(float(wanted_logits[i][want] - wanted_logits[i][token]), TIE)
                return
        self.assertEqual(tokens, wanted)

    def test_1_one_prompt_is_longer_than_the_window(self):
        self.assertGreater(len(self.prompts[-1]), 520)
        self.assertEqual(len(self.prompts), 5)

    def test_2_the_library_makes_the_tokens_that_transformers_makes(self):
        texts = PROMPTS + LINES
        (self.folder / "texts").write_text("".join(json.dumps(text) + "\n" for text in texts))
        lines = run("tokens", FILE, self.folder / "texts").splitlines()
        for text, line in zip(texts, lines, strict=True):
            self.assertEqual([int(word) for word in line.split()],
                             self.tokenizer.encode(text, add_special_tokens=False).ids, text)

    def test_3_libtorch_writes_what_transformers_writes(self):
        for prompt, expected in zip(self.prompts, self.expected):
            self.assert_same_text(self.greedy("torch", FILE, prompt), expected, 5e-3)

    def test_4_llama_cpp_writes_the_same_from_the_floats(self):
        for prompt, expected in zip(self.prompts, self.expected):
            self.assert_same_text(self.greedy("llama", self.float32, prompt), expected, 5e-2)

    def test_5_branches_written_together_are_what_each_of_them_is_alone(self):
        """Skeleton markup over a plain prompt that is longer than the window, through both hosts: each token of a branch
        has the probability that transformers gives it behind prompt, trunk and branch alone."""
        (self.folder / "question").write_text(PROMPTS[-1] + LISTS, encoding="utf-8")
        for host, file, tolerance in (("torch", FILE, 2e-3), ("llama", self.float32, 2e-2)):
            answer = json.loads(run("branches", host, file, self.folder / "question"))
            self.assertGreater(len(answer["prompt"]), 520)
            self.assertGreaterEqual(len(answer["branches"]), 2, answer["text"])
            with torch.no_grad():
                before = self.model(input_ids=torch.tensor([answer["prompt"] + answer["trunk"]]), use_cache=True,
                                    logits_to_keep=1)
                for branch in answer["branches"]:
                    own = self.model(input_ids=torch.tensor([branch["tokens"]]),
                                     past_key_values=copy.deepcopy(before.past_key_values))
                    logits = torch.cat([before.logits[0], own.logits[0, :-1]])
                    self.assert_probabilities(branch, logits, tolerance)

    def assert_probabilities(self, branch, logits, tolerance):
        expected = branch["log_probabilities"]
        self.assertGreater(sum(value is not None for value in expected), 3)
        found = torch.log_softmax(logits.double(), -1)
        for i, (token, value) in enumerate(zip(branch["tokens"], expected)):
            if value is not None:
                self.assertLess(abs(float(found[i, token]) - value), tolerance)

    def test_6_llama_cpp_reads_the_file_as_it_is_within_a_tolerance(self):
        for prompt, (_, wanted) in list(zip(self.prompts, self.expected))[:4]:
            _, logits = self.greedy("llama", FILE, prompt)
            self.assertLess(float(np.abs(logits[0] - wanted[0]).max()), QUANTISED_TOLERANCE)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
