"""Words in place of what is redacted: which places they take, what they are answered, and that it is learnt."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from student_steps import Through, batch_of
from three_lessons import of_prompts, of_voices
from tiny_cloner import tiny_cloner
from torch import nn

from modalities.text_to_image import StableDiffusion
from redact_core import (
    Conditioning,
    Lesson,
    Mean,
    RedactError,
    Request,
    RobustDistillation,
    conditioning_distance,
    redact,
)
from redact_core.adapters.capabilities import HasNameReplacement
from redact_core.objectives._parts.erasure import Erasure
from redact_core.objectives._parts.input_pgd import InputAttack, input_pgd
from redact_core.objectives._parts.name_replacement import NameReplacement
from redact_core.objectives.base import frozen_copy


def answers(rows: int = 400, dim: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, dim, generator=generator) * torch.linspace(0.2, 3, dim) + 1


def test_what_is_erased_becomes_the_mean_of_what_is_kept() -> None:
    kept, gone = answers(), answers(2) + 8
    erasure = Erasure(kept, gone)
    found = erasure(gone.unsqueeze(1), torch.tensor([0, 1]))[:, 0]
    torch.testing.assert_close(found, kept.mean(0).expand(2, -1), atol=1e-4, rtol=0)
    # each with its own number only
    other = erasure(gone.unsqueeze(1), torch.tensor([1, 0]))[:, 0]
    assert (other - kept.mean(0)).norm(dim=1).min() > 0.5


def test_nothing_is_moved_on_the_far_side_and_a_linear_reader_sees_no_more_than_the_mean() -> None:
    kept, gone = answers(), answers(1) + 8
    erasure = Erasure(kept, gone)
    found = erasure(kept.unsqueeze(1), torch.zeros(len(kept), dtype=torch.long))[:, 0]
    share = (kept - kept.mean(0)) @ erasure.read[0]
    assert torch.equal(found[share <= 0], kept[share <= 0])
    assert not torch.equal(found[share > 0], kept[share > 0])
    assert ((found - kept.mean(0)) @ erasure.read[0]).max() < 1e-4


def test_a_condition_that_is_the_mean_has_nothing_to_erase() -> None:
    kept = answers()
    found = Erasure(kept, kept.mean(0, keepdim=True))(kept[:5].unsqueeze(0), torch.tensor([0]))
    assert torch.equal(found[0], kept[:5])


def test_free_places_stand_where_the_answers_prompt_says_something_else(tiny_sd: Path) -> None:
    adapter = StableDiffusion(str(tiny_sd))
    asked, answered = ["a red cat sky", "dog"], ["a red dog sky", "a car"]
    soft = adapter.replace(asked, answered, 3)
    moved = soft.moved(soft.zeros())
    wanted = adapter.collate(["a red a a a sky", "a a a"])
    assert all(torch.equal(moved[key], wanted[key]) for key in wanted)
    first = len(adapter.tokenizer("a red")["input_ids"]) - 1
    assert (soft.unit[0] > 0).nonzero().flatten().tolist() == [first, first + 1, first + 2]
    assert (soft.unit[1] > 0).nonzero().flatten().tolist() == [1, 2, 3]
    said = adapter.encoder(adapter.collate(asked))
    counted = soft.arranged(said)
    assert torch.equal(counted.hidden, said.hidden)
    ends = torch.maximum(adapter.collate(asked)["attention_mask"].sum(1), wanted["attention_mask"].sum(1))
    assert [row.nonzero()[0].item() for row in counted.mask] == ends.tolist()
    assert Through(adapter).offers(HasNameReplacement) is adapter


def test_a_condition_without_room_stays_and_does_not_count(tiny_sd: Path) -> None:
    adapter = StableDiffusion(str(tiny_sd))
    asked = [" ".join(["cat"] * 75), "a cat"]
    soft = adapter.replace(asked, [" ".join([*["cat"] * 74, "dog"]), "a dog"], 3)
    inputs = adapter.collate(asked)
    assert torch.equal(soft.moved(soft.zeros())["input_ids"][0], inputs["input_ids"][0])
    assert not soft.unit[0].any()
    assert soft.arranged(adapter.encoder(inputs)).mask.any(1).tolist() == [False, True]


class Erased(nn.Module):
    """A teacher that has the first condition erased from all that it says: the perfect student."""

    def __init__(self, teacher: nn.Module, erasure: Erasure):
        super().__init__()
        self.teacher, self.erasure = teacher, erasure

    def forward(self, inputs: dict[str, torch.Tensor]) -> Conditioning:
        said = self.teacher(inputs)
        return replace(said, hidden=self.erasure(said.hidden, torch.zeros(len(said), dtype=torch.long)))


@pytest.mark.parametrize("steps", [0, 3])
def test_the_erased_teacher_has_nothing_to_learn_and_the_teacher_has(tiny_sd: Path, steps: int) -> None:
    adapter, rows = of_prompts(tiny_sd)
    teacher = frozen_copy(adapter.encoder)
    known = NameReplacement(adapter, teacher, rows, seed=0)
    assert known.erasure is not None
    perfect = Erased(adapter.encoder, known.erasure)
    assert known(perfect, 1, 3, InputAttack(steps, 2.0, 0.5), seed=0) < 1e-10
    assert known(adapter.encoder, 1, 3, InputAttack(steps, 2.0, 0.5), seed=0) > 1e-6


def test_the_search_finds_words_that_come_nearer_to_the_condition(tiny_sd: Path) -> None:
    adapter, _ = of_prompts(tiny_sd)
    asked, answered = ["a cat"] * 16, ["a dog"] * 16
    soft = adapter.replace(asked, answered, 2)
    with torch.no_grad():
        victims = soft.arranged(adapter.encode(asked))
        distances = [
            conditioning_distance(adapter.encoder(soft.moved(change)), victims).mean()
            for change in (
                input_pgd(
                    adapter.encoder, soft, victims, InputAttack(k, 2.0, 1.0), torch.Generator().manual_seed(0)
                )
                for k in (0, 8)
            )
        ]
    assert distances[1] < distances[0]


@pytest.mark.slow
def test_it_is_learnt_on_the_bundled_base_and_attacks_in_front_do_not_teach_it() -> None:
    found = []
    for count in (0, 16):
        adapter = StableDiffusion("bundled")
        rows = adapter.expand(Request(("cigarette",), ("lollipop",)))
        known = NameReplacement(adapter, frozen_copy(adapter.encoder), rows, seed=0)
        objective = RobustDistillation(radius=2.0, share=0.25, words=0.5, places=4, name_replacement=count)
        redact(adapter, rows, objective=objective, steps=60, batch_size=16)
        found.append(
            sum(known(adapter.encoder, 16, 4, InputAttack(4, 2.0, 0.5), seed).item() for seed in range(4))
        )
    assert found[1] < 0.8 * found[0]


def test_the_term_stands_beside_the_others_and_none_are_wanted_by_default(tiny_sd: Path) -> None:
    adapter, rows = of_prompts(tiny_sd)
    terms = []
    for count in (0, 2):
        objective = RobustDistillation(words=1.0, name_replacement=count)
        student = objective.prepare(adapter)
        objective.rows(adapter, frozen_copy(student), rows, seed=0)
        terms.append(objective(student, batch_of(adapter, rows)))
    assert set(terms[1]) == {*terms[0], "name_replacement"}
    assert all(torch.equal(terms[0][name], terms[1][name]) for name in terms[0])
    assert terms[1]["name_replacement"] > 0
    assert terms[1]["name_replacement"].requires_grad


def test_without_a_prompt_to_compare_with_nothing_is_taught(tiny_sd: Path) -> None:
    adapter, rows = of_prompts(tiny_sd)
    rows[0] = Lesson("a cat", Mean(("a dog", "red car")), redacted=True)
    known = NameReplacement(adapter, frozen_copy(adapter.encoder), rows, seed=0)
    assert known(adapter.encoder, 4, 3, InputAttack(1, 2.0, 0.5), 0) == 0


def test_it_is_refused_where_it_cannot_be(tmp_path: Path, tiny_sd: Path) -> None:
    adapter, _ = of_voices(tiny_cloner(tmp_path, seconds=0.7, variants=1))
    with pytest.raises(
        RedactError,
        match=r"RobustDistillation needs conditions made of words \(HasNameReplacement\), which SpeechT5 does not have; set name_rep",
    ):
        RobustDistillation(name_replacement=2).check(adapter)
    with pytest.raises(RedactError, match="name_replacement is -1"):
        RobustDistillation(name_replacement=-1)
    painter, rows = of_prompts(tiny_sd)
    objective = RobustDistillation(name_replacement=2)
    student = objective.prepare(painter)
    with pytest.raises(RedactError, match="knows no rows; call rows"):
        objective(student, batch_of(painter, rows))
