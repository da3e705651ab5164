#!/usr/bin/env python3
"""Records what `transformers` writes for a few prompts with a model folder's weights in float32.

    python tests/torch/record_transformers.py MODEL_FOLDER > tests/torch/transformers_greedy.txt

One block per prompt, for the test of the LibTorch runner:

    prompt: <the user's message, as JSON>
    input: <token ids of the chat-formatted prompt>
    output: <token ids of the greedy answer>
    margins: <best logit minus second best at each output token>
    logits: <id:value of the ten best logits after the last input token>
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPTS = [
    "What are the benefits of regular exercise?",
    "Write a haiku about the sea.",
    "List three fruits and say one thing about each.",
    "What is 17 + 25? Explain step by step.",
    "Translate to French: The weather is nice today.",
    "Write a Python function that reverses a string.",
]
N_NEW = 64


def record(model, tokenizer, prompt):
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )["input_ids"]
    first = None
    tokens, margins, past, feed = [], [], None, ids
    for _ in range(N_NEW):
        out = model(input_ids=feed, past_key_values=past, use_cache=True)
        past = out.past_key_values
        logits = out.logits[0, -1]
        best = torch.topk(logits, 10)
        if first is None:
            first = best
        token = int(best.indices[0])
        tokens.append(token)
        margins.append(float(best.values[0] - best.values[1]))
        if token == tokenizer.eos_token_id:
            break
        feed = torch.tensor([[token]])
    print("prompt:", json.dumps(prompt))
    print("input:", *ids[0].tolist())
    print("output:", *tokens)
    print("margins:", *(f"{margin:.4f}" for margin in margins))
    print("logits:", *(f"{int(i)}:{float(v):.5f}" for v, i in zip(first.values, first.indices)))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_grad_enabled(False)
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
    for prompt in PROMPTS:
        record(model, tokenizer, prompt)


if __name__ == "__main__":
    main()
