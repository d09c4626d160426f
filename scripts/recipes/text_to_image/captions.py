"""Captions of the training pictures, and the byte-pair vocabulary trained on them."""

import csv
import json
import random
from dataclasses import dataclass
from pathlib import Path

from pictures import BACKGROUNDS, STYLES, concepts, described
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from modalities.text_to_image.prompts.phrasing import Split, draw, wordings
from scripts.experiments.development_data import data_folder

LENGTH = 40
"""Context of the text tower in tokens; the longest caption in use has about thirty."""
HOUSE_STYLE = "twemoji"
"""What a caption that names no style shows, as a photo is what Stable Diffusion shows."""


@dataclass(frozen=True)
class Caption:
    """A caption and what it pins down; -1 leaves the attribute open."""

    text: str
    concept: int
    parent: int
    style: int
    background: int


class Captioner:
    """Random captions for a (concept, style, background); ``split`` limits the wordings."""

    def __init__(self, split: Split = "both", parent_rate: float = 0.04):
        self.entries = list(concepts().items())
        self.parents = sorted({entry["parent"] for _, entry in self.entries})
        self.styles, self.backgrounds = list(STYLES), list(BACKGROUNDS)
        self.split: Split = split
        self.parent_rate = parent_rate

    def parent_of(self, concept: int) -> int:
        return self.parents.index(self.entries[concept][1]["parent"])

    def __call__(self, concept: int, style: int, background: int, rng: random.Random) -> Caption:
        name, entry = self.entries[concept]
        phrases = [
            *(entry["seen"] if self.split != "heldout" else []),
            *(entry["heldout"] if self.split != "seen" else []),
        ]
        roll = rng.random()
        open_concept = roll < self.parent_rate
        what = entry["parent"] if open_concept else name if roll < 0.6 else rng.choice(phrases)
        # only the house style may go unnamed, so that an unstyled prompt has one answer
        named = self.styles[style] != HOUSE_STYLE or rng.random() < 0.6
        placed = rng.random() < 0.85
        text = draw(rng, self.split).fill(
            what, self.styles[style] if named else "", self.backgrounds[background] if placed else ""
        )
        return Caption(
            text,
            -1 if open_concept else concept,
            self.parent_of(concept),
            style,
            background if placed else -1,
        )


def corpus() -> list[str]:
    """Captions in every wording plus English at large, so that unseen words split sensibly."""
    rng = random.Random(0)
    lines = []
    for name, entry in described()["concepts"].items():
        for what in (name, *entry["seen"], *entry["heldout"], entry["parent"]):
            for wording in rng.sample(wordings("both"), 3):
                lines.append(wording.fill(what, rng.choice(list(STYLES)), rng.choice(list(BACKGROUNDS))))
    path = data_folder("prompts") / "prompts"
    for file in sorted(path.rglob("coco*.csv"))[:1]:
        with file.open(encoding="utf-8") as handle:
            rows = csv.DictReader(handle)
            field = next(f for f in rows.fieldnames or [] if f in {"prompt", "caption", "text"})
            lines += [row[field] for _, row in zip(range(10_000), rows, strict=False)]
    return lines


def train_tokenizer(folder: Path, size: int = 3000) -> CLIPTokenizer:
    """A byte-pair vocabulary in CLIPTokenizer's own file format, every byte included."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    blank = CLIPTokenizer(vocab={"<|startoftext|>": 0, "<|endoftext|>": 1}, merges=[])
    tokenizer.normalizer = blank.backend_tokenizer.normalizer
    tokenizer.pre_tokenizer = blank.backend_tokenizer.pre_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=size - 258, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in model["merges"]]
    tokens = dict.fromkeys([*alphabet, *(byte + "</w>" for byte in alphabet), *(a + b for a, b in merges)])
    vocab = {token: i for i, token in enumerate(tokens)}
    # CLIP puts the end token last: SD's text encoder finds the pooled position by the highest id
    vocab["<|startoftext|>"] = len(vocab)
    vocab["<|endoftext|>"] = len(vocab)
    result = CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=LENGTH)
    result.save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder)
