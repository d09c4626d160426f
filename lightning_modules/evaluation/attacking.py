"""Attacks carried out on one model: attempts, their files, and the samples that come of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lightning_modules.evaluation.attempt_files import AttemptWriter
from lightning_modules.support.output import say
from redact_core import Adapter, Attack, Attempt, Conditioning, PlanRow, RedactError
from redact_core.evaluation.evidence import Evidence
from redact_core.reporting.attack_table import PLAIN, PREFIX


def attacked_plan(rows: Sequence[PlanRow], attacks: Sequence[str]) -> list[PlanRow]:
    """The rows once as they stand, then once for each attack, with the same seeds."""
    plain = [replace(row, group=PLAIN) for row in rows]
    return plain + [
        replace(row, group=PREFIX + name, labels={**row.labels, "attack": name})
        for name in attacks
        for row in rows
    ]


def carry_out(
    evidence: Evidence, model: Adapter, base: Adapter, name: str, attacks: Mapping[str, Attack], *, seed: int
) -> None:
    """Attack ``model`` and write what is missing of its attempts and samples, chunk by chunk.

    A chunk holds rows of one group only. A chunk that is not whole is attempted again, with the same
    seed, so that it does not matter where an earlier call was stopped.

    Args:
        evidence: Its plan is from :func:`attacked_plan`.
        model: What is attacked; the same object as ``base`` where the ceiling is measured.
        base: The untouched model.
        name: Of ``model`` in the evidence.
        attacks: By name; they fit the model (:meth:`~redact_core.attacks.base.Attack.check`).
        seed: Of everything that attacks draw.

    Raises:
        RedactError: An attack breaks its promises.
    """
    groups: dict[str, list[int]] = {}
    for i, row in enumerate(evidence.plan):
        groups.setdefault(row.group, []).append(i)
    done, size = evidence.samples(name).keys(), evidence.manifest["conduct"]["batch_size"]
    chunks = {
        group: [indices[i : i + size] for i in range(0, len(indices), size)]
        for group, indices in groups.items()
    }
    left = {group: [chunk for chunk in own if not done >= set(chunk)] for group, own in chunks.items()}
    again = {i for missing in left.values() for chunk in missing for i in chunk}
    with evidence.writer(model, name, 0) as samples, AttemptWriter(evidence.folder, name, again) as attempted:
        for group, missing in left.items():
            if not missing:
                continue
            began, asked = time.perf_counter(), model
            attack = None if group == PLAIN else attacks[group.removeprefix(PREFIX)]
            if attack is not None:
                asked = attack.subvert(model, base, [evidence.plan[i] for i in groups[group]], seed=seed)
            for chunk in missing:
                rows = [evidence.plan[i] for i in chunk]
                attempts = [Attempt(condition=row.condition) for row in rows]
                if attack is not None:
                    started = time.perf_counter()
                    attempts = _attempts(attack, asked, base, rows, seed + chunk[0])
                    spent = (time.perf_counter() - started) / len(rows)
                    attempts = attempted.write(chunk, attack.name, attempts, spent)
                made = realise(asked, attempts, [row.seed for row in rows])
                new = [(i, sample) for i, sample in zip(chunk, made, strict=True) if i not in done]
                samples.write(*zip(*new, strict=True))
            say(
                f"{name}: {group}, {len(missing)} of {len(chunks[group])} batches, {time.perf_counter() - began:.1f} s"
            )


def realise(model: Adapter, attempts: Sequence[Attempt], seeds: Sequence[int]) -> list[Tensor]:
    """The samples of attempts: conditions are asked, conditionings handed to the generator."""
    found: dict[int, Tensor] = {i: a.sample for i, a in enumerate(attempts) if a.sample is not None}
    conditions = {i: a.condition for i, a in enumerate(attempts) if a.condition is not None}
    hidden = {i: a.conditioning for i, a in enumerate(attempts) if a.conditioning is not None}
    if conditions:
        made = model.generate(list(conditions.values()), seeds=[seeds[i] for i in conditions])
        found |= dict(zip(conditions, made, strict=True))
    if hidden:
        device = next(model.encoder.parameters()).device
        made = model.generate(
            Conditioning.cat(list(hidden.values())).to(device), seeds=[seeds[i] for i in hidden]
        )
        found |= dict(zip(hidden, made, strict=True))
    return [found[i].detach().float().cpu() for i in range(len(attempts))]


def _attempts(
    attack: Attack, model: Adapter, base: Adapter, rows: Sequence[PlanRow], seed: int
) -> list[Attempt]:
    # attacks that need gradients say so where they need them
    with torch.no_grad():
        attempts = attack(model, base, rows, seed=seed)
    if len(attempts) != len(rows):
        raise RedactError(
            f"{attack.name} gave {len(attempts)} attempts for {len(rows)} rows; give one for each."
        )
    return attempts
