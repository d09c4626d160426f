"""Selective Amnesia on generators small enough to be checked by hand, and through the command line."""

import copy
import re
import sys
from pathlib import Path

import pytest
import torch
from resuming import assert_generator_resumes
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_class import LinearAdapter, tiny_class_folder

from lightning_modules import RedactionData
from lightning_modules.cli import main as cli
from modalities.class_to_image import ClassConditional
from modalities.text_to_image import StableDiffusion
from redact_core import Adapter, Lesson, RedactError, RedactionCard, Request, SelectiveAmnesia, redact
from redact_core.objectives._parts.fisher import FisherSettings, diagonal_fisher, load_fisher, save_fisher
from redact_core.objectives._parts.replay import encode, swapped_weights
from redact_core.objectives.base import frozen_copy
from redact_core.support.folders import hashes
from redact_core.support.tensor_file import read_tensors, write_tensors

LESSONS = [Lesson.redact("plum", "pear"), *(Lesson.retain(w) for w in ("fig", "kiwi", "lime", "melon"))]


def small(**more: object) -> SelectiveAmnesia:
    values: dict = {"surrogates": 6, "replays": 8, "fisher_samples": 5, "learning_rate": 1e-2}
    return SelectiveAmnesia(**values | more)


def fisher_by_hand(adapter: LinearAdapter, words: list[str], samples: list[torch.Tensor]) -> torch.Tensor:
    """For ``sum_t (t + 1) |x - W h|^2`` the gradient is ``-2 * 6 (x - W h) h^T``."""
    h = encode(adapter, words).hidden.flatten(1)
    error = torch.stack(samples).flatten(1) - h @ adapter.linear.weight.T
    gradient = -12 * error[:, :, None] * h[:, None, :]
    return gradient.square().mean(0).detach()


@pytest.mark.parametrize("times", [None, 1])
def test_fisher_is_the_one_computed_by_hand(times: int | None) -> None:
    """Summed over time, then squared, sample by sample; one visited time of three stands for all."""
    adapter, words = LinearAdapter(), ["plum", "fig", "kiwi"]
    samples = adapter.generate(words, seeds=[1, 2, 3])
    chosen = dict(adapter.generator.named_parameters())
    found = diagonal_fisher(
        adapter, encode(adapter, words), samples, FisherSettings(3, times), chosen, chunk=2
    )
    # the middle one of the times 0, 1, 2 weighs 2, a third of 1 + 2 + 3
    torch.testing.assert_close(found["weight"], fisher_by_hand(adapter, words, samples))


def test_visited_times_are_even() -> None:
    assert FisherSettings(1, None).visited(4) == [0, 1, 2, 3]
    assert FisherSettings(1, 4).visited(1000) == [125, 375, 625, 875]
    assert FisherSettings(1, 9).visited(1) == [0]


def test_fisher_file_is_safetensors_and_belongs_to_its_weights(tmp_path: Path) -> None:
    adapter, path, settings = LinearAdapter(), tmp_path / "fisher.safetensors", FisherSettings(3, 2)
    chosen = dict(adapter.generator.named_parameters())
    fisher = {"weight": torch.rand(4, 48)}
    save_fisher(path, fisher, settings, adapter.generator)
    assert torch.equal(load_file(path)["weight"], fisher["weight"])
    assert torch.equal(load_fisher(path, settings, adapter.generator, chosen)["weight"], fisher["weight"])
    with pytest.raises(RedactError, match=r"made with samples = 3, 4 is asked for; name another file"):
        load_fisher(path, FisherSettings(4, 2), adapter.generator, chosen)
    with pytest.raises(RedactError, match="does not hold bias"):
        load_fisher(path, settings, adapter.generator, {**chosen, "bias": chosen["weight"]})
    with torch.no_grad():
        adapter.linear.weight[0, 0] += 1
    with pytest.raises(RedactError, match="Fisher information of other weights"):
        load_fisher(path, settings, adapter.generator, chosen)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(RedactError, match=r"cannot be read as a safetensors file of float32 \(weight is cut"):
        read_tensors(path)


def test_tensor_files_round_trip_odd_shapes(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 5).T, "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 4)}
    write_tensors(tmp_path / "t.safetensors", tensors, {"key": "value"})
    again, metadata = read_tensors(tmp_path / "t.safetensors")
    assert metadata == {"key": "value"}
    assert all(torch.equal(again[k], v) for k, v in tensors.items())
    assert all(torch.equal(load_file(tmp_path / "t.safetensors")[k], v) for k, v in tensors.items())


def prepared(objective: SelectiveAmnesia, adapter: LinearAdapter):
    student = objective.prepare(adapter)
    return student, objective.rows(adapter, frozen_copy(student), LESSONS, seed=0)


def test_the_penalty_has_no_half_and_the_right_gradient() -> None:
    adapter, objective = LinearAdapter(), small(forget_weight=0, replay_weight=0, ewc_weight=7.0)
    student, rows = prepared(objective, adapter)
    old = adapter.linear.weight.detach().clone()
    _, fisher = objective._anchors["weight"]
    assert bool((fisher > 0).any())
    assert bool((fisher >= 0).all())
    delta = torch.randn(4, 48) / 10
    with torch.no_grad():
        adapter.linear.weight += delta
    terms = objective(student, rows.batch(torch.arange(4)))
    torch.testing.assert_close(terms["ewc"], 7 * (fisher * delta.square()).sum())
    terms["ewc"].backward()
    torch.testing.assert_close(
        adapter.linear.weight.grad, 2 * 7 * fisher * (adapter.linear.weight - old).detach()
    )


def test_nothing_to_forget_and_nothing_to_replay_leaves_every_bit() -> None:
    adapter = LinearAdapter()
    before = adapter.linear.weight.detach().clone()
    redact(adapter, LESSONS, objective=small(forget_weight=0, replay_weight=0), steps=5, batch_size=4)
    assert torch.equal(adapter.linear.weight, before)


def test_it_moves_the_generator_towards_the_surrogate_and_leaves_the_encoder() -> None:
    adapter = LinearAdapter()
    encoder = copy.deepcopy(adapter.encoder.state_dict())
    base = copy.deepcopy(adapter)
    redact(adapter, LESSONS, objective=small(ewc_weight=0.1), steps=150, batch_size=7)
    assert all(torch.equal(v, encoder[k]) for k, v in adapter.encoder.state_dict().items())

    def gap(word: str, like: str) -> float:
        return (adapter.generate([word], seeds=[1])[0] - base.generate([like], seeds=[1])[0]).norm().item()

    apart = (base.generate(["plum"], seeds=[1])[0] - base.generate(["pear"], seeds=[1])[0]).norm().item()
    assert gap("plum", "pear") < 0.3 * apart
    assert all(gap(word, word) < 0.15 * apart for word in ("fig", "kiwi", "lime", "melon"))


@pytest.mark.parametrize("without", ["replay_weight", "ewc_weight"])
def test_each_term_holds_what_stays(without: str) -> None:
    def drift(**weights: float) -> float:
        adapter = LinearAdapter()
        before = torch.stack(adapter.generate(["fig", "lime"], seeds=[1, 2]))
        redact(adapter, LESSONS, objective=small(**weights), steps=40, batch_size=7)
        return (torch.stack(adapter.generate(["fig", "lime"], seeds=[1, 2])) - before).norm().item()

    alone = {"replay_weight": 0.0, "ewc_weight": 0.0}
    other = {"replay_weight": 1.0, "ewc_weight": 100.0} | {without: 0.0}
    assert drift(**other) < 0.7 * drift(**alone)


def test_noise_takes_the_place_of_references() -> None:
    adapter, objective = LinearAdapter(), small(surrogate="noise")
    _, rows = prepared(objective, adapter)
    noise = torch.stack(rows.samples[:6])
    assert noise.shape == (6, 1, 2, 2)
    assert 0 <= noise.min() < noise.max() <= 1
    assert not torch.equal(noise[0], noise[1])
    assert rows.redacted.tolist() == [True] * 6 + [False] * 8


def test_only_chosen_parameters_move(tmp_path: Path) -> None:
    model = ClassConditional(str(tiny_class_folder(tmp_path / "m")))
    before = copy.deepcopy(model.generator.state_dict())
    redact(model, Request(("hat",), ("cup",)), objective=small(parameters=r"^decoder\.1\."), steps=3)
    moved = {k for k, v in model.generator.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {"decoder.1.weight", "decoder.1.bias"}
    with pytest.raises(RedactError, match=r"no parameter matches; one is called recognition\.0\.weight"):
        redact(model, Request(("hat",), ("cup",)), objective=small(parameters="attn2"), steps=1)


def test_replays_come_from_the_teacher_and_the_students_weights_return() -> None:
    adapter = LinearAdapter()
    objective = small()
    teacher = frozen_copy(objective.prepare(adapter))
    rows = objective.rows(adapter, teacher, LESSONS, seed=0)
    with torch.no_grad():
        adapter.linear.weight.mul_(-3)  # as after resuming a run
    later = adapter.linear.weight.detach().clone()
    again = objective.rows(adapter, teacher, LESSONS, seed=0)
    assert all(map(torch.equal, rows.samples, again.samples))
    assert torch.equal(adapter.linear.weight, later)
    assert torch.equal(objective._anchors["weight"][0], teacher.state_dict()["weight"])
    with pytest.raises(ZeroDivisionError), swapped_weights(adapter.generator, teacher):
        raise ZeroDivisionError
    assert torch.equal(adapter.linear.weight, later)


def test_draws_differ_from_pass_to_pass_and_repeat_within_one() -> None:
    _, rows = prepared(small(), LinearAdapter())
    pick = torch.tensor([3, 0, 9])
    assert rows.batch(pick, turn=1).seeds == rows.batch(pick, turn=1).seeds
    seen = [seed for turn in range(3) for seed in rows.batch(torch.arange(len(rows)), turn=turn).seeds]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ewc_weight": -1}, "ewc_weight is -1; give a finite number of at least 0."),
        ({"replays": 0}, "replays is 0; give at least 1."),
        ({"fisher_times": 0}, "fisher_times is 0; give at least 1."),
        ({"surrogate": "silence"}, "surrogate is 'silence'; give reference or noise."),
        ({"parameters": "("}, "parameters is no regular expression"),
    ],
)
def test_bad_settings_are_one_line(settings: dict, message: str) -> None:
    with pytest.raises(RedactError, match=re.escape(message)):
        SelectiveAmnesia(**settings)


def test_an_adapter_without_a_generator_and_lessons_without_retained_ones_are_refused() -> None:
    from redact_core.adapters.contract import ToyAdapter

    with pytest.raises(RedactError, match="SelectiveAmnesia needs a generator with a training loss"):
        redact(ToyAdapter(), LESSONS, objective=small())
    with pytest.raises(RedactError, match="No lesson is retained"):
        redact(LinearAdapter(), LESSONS[:1], objective=small())


def test_resuming_gives_the_weights_of_an_uninterrupted_run(tmp_path: Path) -> None:
    folder = tiny_class_folder(tmp_path / "m")

    def data(model: Adapter) -> RedactionData:
        return RedactionData(model, redact="hat", reference="cup", batch_size=5)

    assert_generator_resumes(lambda: ClassConditional(str(folder)), small, data, tmp_path, steps=8, stop=5)


def fit(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["redact", "fit", *map(str, arguments)])
    return cli.main()


AMNESIA = [
    "--model.objective", "SelectiveAmnesia", "--model.objective.surrogates", 4, "--model.objective.replays", 4,
    "--model.objective.fisher_samples", 2, "--model.objective.fisher_times", 2, "--model.lr", "1e-2",
    "--trainer.max_steps", 2, "--trainer.accelerator", "cpu", "--data.batch_size", 4,
]  # fmt: skip


def test_fit_changes_the_denoiser_only(
    monkeypatch: pytest.MonkeyPatch, tiny_sd: Path, tmp_path: Path
) -> None:
    out, fisher = tmp_path / "out", tmp_path / "fisher.safetensors"
    arguments = [
        "--model.adapter", "StableDiffusion", "--model.adapter.source", tiny_sd, "--model.adapter.steps", 2,
        "--data.redact", "cat", "--data.reference", "dog", "--export.folder", out,
    ]  # fmt: skip
    wanted = ["--model.objective.parameters", "attn2", "--model.objective.fisher", fisher]
    assert fit(monkeypatch, *arguments, *AMNESIA, *wanted) == 0
    weights = "unet/diffusion_pytorch_model.safetensors"
    before, after = hashes(tiny_sd), hashes(out)
    assert [name for name in before if before[name] != after[name]] == [weights]
    card = RedactionCard.read(out)
    assert set(card.changed) == {weights, "config.yaml"}
    assert card.method["objective_arguments"]["fisher_times"] == 2
    assert card.scope.startswith("The generator of this folder was changed")
    assert set(card.measures) == {
        f"{a} loss {b}" for a in ("surrogate", "replay") for b in ("before", "after")
    }
    with safe_open(tiny_sd / weights, "pt") as a, safe_open(out / weights, "pt") as b:
        assert list(a.keys()) == list(b.keys())
        names = [k for k in a.keys() if not torch.equal(a.get_tensor(k), b.get_tensor(k))]  # noqa: SIM118
        assert all(a.get_tensor(k).dtype == b.get_tensor(k).dtype for k in a.keys())  # noqa: SIM118
    assert names
    assert all("attn2" in name for name in names)
    assert set(load_file(fisher)) >= set(names)
    base = StableDiffusion(str(tiny_sd), steps=2)
    assert not torch.equal(
        base.reopen(out).generate(["cat"], seeds=[0])[0], base.generate(["cat"], seeds=[0])[0]
    )


def test_fit_trains_where_rows_could_be_copied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder, out = tiny_class_folder(tmp_path / "m"), tmp_path / "out"
    arguments = [
        "--model.adapter",
        "ClassConditional",
        "--model.adapter.source",
        folder,
        "--data.redact",
        "hat",
    ]
    assert fit(monkeypatch, *arguments, *AMNESIA, "--export.folder", out) == 0
    before, after = load_file(folder / "model.safetensors"), load_file(out / "model.safetensors")
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(name.startswith("generator.") for name in moved)
    assert all(after[name].dtype == torch.float16 for name in after)
