"""Guards around one base, used from two threads: each gives what it gives alone, bit by bit."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from tiny_pipelines import tiny_pipeline
from torch import Tensor

from modalities.text_to_image import (
    DualLatent,
    Espresso,
    PromptPipeline,
    SafeLatentDiffusion,
    StableDiffusion,
)
from modalities.text_to_image.adapters.token_ids import token_ids
from redact_core import Adapter

PROMPTS, SEEDS = ["a cat in snow", "a dog", "a cat"], [3, 4, 5]


def beside(*works: Callable[[], list[Tensor]]) -> list[list[Tensor]]:
    """What the functions give in threads that begin together."""
    ready = threading.Barrier(len(works))

    def work(number: int) -> list[Tensor]:
        ready.wait()
        return works[number]()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(work, range(len(works))))


def stacks(base: Adapter) -> list[Adapter]:
    """Every guard that hooks into the pipeline, alone and one in the other, and the base itself."""
    steering = SafeLatentDiffusion(base, ["a cat"], preset="max", warmup=0)
    dual = DualLatent(base, context="a dog", weight=0.6, threshold=0.1)
    return [
        base,
        steering,
        dual,
        Espresso(DualLatent(steering, rewrite={"cat": "dog"}), ["a cat"], ["a dog"]),
    ]


def test_two_threads_get_what_each_gets_alone(tiny_sd: Path) -> None:
    models = stacks(StableDiffusion(str(tiny_sd), steps=3, batch_size=2))
    alone = [model.generate(PROMPTS, seeds=SEEDS) for model in models]
    distinct = {b"".join(picture.numpy().tobytes() for picture in found) for found in alone[:3]}
    assert len(distinct) == 3, "a guard that changes nothing proves nothing"
    for first, second in ((1, 2), (0, 2), (0, 1), (2, 3)):
        found = beside(
            lambda i=first: models[i].generate(PROMPTS, seeds=SEEDS),
            lambda i=second: models[i].generate(PROMPTS, seeds=SEEDS),
        )
        for index, pictures in zip((first, second), found, strict=True):
            assert all(map(torch.equal, pictures, alone[index])), f"{index} beside {first + second - index}"


def test_a_pipeline_is_loaded_once_for_all_threads(tiny_sd: Path, tmp_path: Path) -> None:
    other = PromptPipeline(str(tiny_pipeline(tmp_path / "pixart", "PixArtSigmaPipeline")))
    for base in (StableDiffusion(str(tiny_sd), steps=1), other):
        found: list[object] = []
        beside(*[lambda b=base, f=found: f.append(b.pipeline) or [] for _ in range(3)])  # type: ignore[func-returns-value]
        assert len({id(pipeline) for pipeline in found}) == 1


def test_threads_that_read_prompts_of_different_lengths_get_what_each_gets_alone(tiny_sd: Path) -> None:
    """The library's tokenizer keeps padding as a state, so threads that share it must take turns."""
    base = StableDiffusion(str(tiny_sd))
    prompts = ["a cat", "a dog in deep snow", "a"]
    alone = base.collate(prompts)["input_ids"]

    def padded() -> list[Tensor]:
        return [base.collate(prompts)["input_ids"] for _ in range(300)]

    def bare() -> list[Tensor]:
        return [torch.tensor(token_ids(base.tokenizer, "a dog in snow")) for _ in range(900)]

    wanted = torch.tensor(token_ids(base.tokenizer, "a dog in snow"))
    first, second, third = beside(padded, bare, padded)
    assert all(torch.equal(found, alone) for found in [*first, *third])
    assert all(torch.equal(found, wanted) for found in second)
