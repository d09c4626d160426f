"""Words in place of what is redacted: what an attacker tries who does not name it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter, to_device_of
from redact_core.adapters.capabilities import HasNameReplacement, require
from redact_core.objectives._parts.erasure import Erasure
from redact_core.objectives._parts.input_pgd import InputAttack, input_pgd
from redact_core.objectives.distances import conditioning_distance
from redact_core.types import Condition, Conditioning, Lesson, Mean

_KEPT, _CHUNK = 256, 64
"""Retained conditions whose answers say what is ordinary; conditions given to the teacher at a time."""


class NameReplacement:
    """Conditions in which other words stand where a redacted one is named, and what they shall be answered.

    Neither the reference nor the teacher's own answer is right for them. Most words mean something else that
    is to be kept, so the reference would take that away; but some words mean to the teacher what is
    redacted, and a search finds them. What is taught is the teacher's answer to these very words,
    with the redacted condition erased from it (:class:`~redact_core.objectives._parts.erasure.Erasure`). Of several redacted
    conditions that is the one whose place the words took.

    Args:
        adapter: Says which places of a condition make it the redacted one (:meth:`.HasNameReplacement.replace`).
        teacher: Untouched and frozen.
        lessons: All of them; redacted ones whose answer is a mean are left out.
        seed: Of the retained conditions that are asked.
    """

    def __init__(self, adapter: Adapter, teacher: nn.Module, lessons: Sequence[Lesson], *, seed: int):
        self.adapter, self.teacher = adapter, teacher
        self.words = require(adapter, HasNameReplacement, "Name replacement")
        rows = [
            (row.asked, row.answer) for row in lessons if row.redacted and not isinstance(row.answer, Mean)
        ]
        self.asked, self.answers = [asked for asked, _ in rows], [answer for _, answer in rows]
        kept = [row.asked for row in lessons if not row.redacted]
        chosen = torch.randperm(len(kept), generator=torch.Generator().manual_seed(seed))[:_KEPT]
        gone = [conditioning.hidden.mean(1) for conditioning in self._parts(self.asked)]
        ordinary = [
            conditioning.hidden[conditioning.mask]
            for conditioning in self._parts([kept[i] for i in chosen.tolist()])
        ]
        self.erasure = (
            Erasure(torch.cat(ordinary).float(), torch.cat(gone).float()) if gone and ordinary else None
        )

    def __call__(self, student: nn.Module, count: int, places: int, attack: InputAttack, seed: int) -> Tensor:
        """Mean distance of the student from what such conditions shall be answered.

        Args:
            student: Under training.
            count: Conditions; the first half (rounded up) is searched against the student, the others are random words.
            places: Words in each.
            attack: The search.
            seed: Of the conditions and words.
        """
        device = next(student.parameters()).device
        if self.erasure is None:
            return torch.zeros((), device=device)
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randperm(len(self.asked), generator=generator)[:count]
        searched = (len(rows) + 1) // 2
        teacher = self.teacher.to(device)
        parts, counts = [], []
        for group, wanted in ((rows[:searched], True), (rows[searched:], False)):
            if not len(group):
                continue
            asked = [self.asked[i] for i in group.tolist()]
            soft = self.words.replace(asked, [self.answers[i] for i in group.tolist()], places)
            change = soft.at_points(generator)
            if wanted:
                with torch.no_grad():
                    victims = soft.arranged(teacher(self.adapter.collated(asked)))
                change = input_pgd(student, soft, victims, attack, generator)
            parts.append(soft.moved(change))
            counts.append((soft.unit > 0).any(1))  # conditions without room are as they were
        inputs = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
        with torch.no_grad():
            conditioning = teacher(inputs)
            hidden = self.erasure(conditioning.hidden, rows)
            target = replace(
                conditioning, hidden=hidden, mask=conditioning.mask & torch.cat(counts).unsqueeze(1)
            )
        return conditioning_distance(student(inputs), target).mean()

    @torch.no_grad()
    def _parts(self, conditions: Sequence[Condition]) -> Iterator[Conditioning]:
        """The teacher's answers, one part at a time: all of them would be far more than is kept of them."""
        for start in range(0, len(conditions), _CHUNK):
            part = self.adapter.collate(conditions[start : start + _CHUNK])
            yield self.teacher(to_device_of(self.teacher, part)).to("cpu")
