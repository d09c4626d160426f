"""Take real people out of a real speaker encoder, each by a gate of its own, and grade what is left of them.

    python scripts/experiments/real_people.py --encoder resemblyzer --people PEOPLE --others OTHERS --out OUT

PEOPLE has one subfolder of clips for each person. The first --clips of them teach the gate, the rest are unseen; a
person with too few clips is left out, and said so. OTHERS holds people who stay: subfolders, or one file a person.
Four of five of them are given to the gate, and so are the learning clips of all others of PEOPLE, whose other
clips show what kept people lose; every fifth one of OTHERS is a kept person whom the gate does not know. Evaluation is in embedding space. The gallery is everybody, enrolled by the untouched encoder: people
by their learning clips, others by their clips. *Identified* is: nearest of the gallery. A second row counts among
PEOPLE alone, a smaller gallery.

OUT/results.json holds the rows {person, group, metric, base, redacted, n, low, high}; OUT/people/NAME.json those of
one person, so that an interrupted run goes on; OUT/table.md the means. OUT/encoder/NAME is the redacted encoder.
"""

import argparse
import json
import math
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from people.attack import attacked
from people.embeddings import Clip, Listener, crop, middle
from people.folders import people_in, readable, wave_of
from people.grades import Gallery, Grades, Judge, eer, table
from torch import Tensor
from torch.nn.functional import normalize

from lightning_modules.support.one_line import one_line
from modalities.sound.clips import RATE, SHORTEST_S, fit_length
from modalities.text_to_speech import SpeakerEncoder
from modalities.text_to_speech.attacks import channel_change, pitch_tempo
from redact_core import RedactError
from redact_core.gates import GatedEncoder, GateSettings, fit_gate
from redact_core.metrics.statistics import auroc
from redact_core.support.folders import new_folder, write_whole

VARIANTS = 4
SHORTEST_PEOPLE = 2
DRAW = 24
"""Seed of --draw."""


def changed(
    clips: Sequence[Path], changes: Sequence[Callable[[Tensor], Tensor]], listener: Listener
) -> Tensor:
    """``(n, dim)`` each clip in each of the changes in turn, two for a clip."""
    rows = []
    for i, clip in enumerate(clips):
        for k in (2 * i, 2 * i + 1):
            wave = changes[k % len(changes)](crop(wave_of(clip), 4.0))
            rows.append(listener.embed(fit_length(wave, max(len(wave), RATE))[None]))
    return torch.cat(rows)


def channels() -> list[Callable[[Tensor], Tensor]]:
    generator = torch.Generator().manual_seed(0)
    names = channel_change.ChannelChange().changes
    return [lambda wave, f=channel_change.CHANGES[name]: f(wave, generator) for name in names]


def grade(
    person: str, people: dict[str, list[Clip]], given: dict[str, list[Clip]], strangers: dict[str, list[Clip]],
    gallery: Gallery, listener: Listener, model: SpeakerEncoder, args: argparse.Namespace,
    judge: Judge | None,
) -> list[dict]:  # fmt: skip
    """All rows of one person."""
    grades, began = Grades(person), time.perf_counter()
    clips = people[person]
    learnt, unseen = clips[: args.clips], clips[args.clips :]
    own = torch.stack([clip.variants for clip in learnt])
    beside = {k: torch.stack([c.embedding for c in v]) for k, v in people.items() if k != person}
    known = {k: torch.stack([c.embedding for c in v]) for k, v in given.items()}
    candidates = range(len(known))  # nobody of PEOPLE answers, who is graded too
    known |= {k: rows[: args.clips] for k, rows in beside.items()}
    settings = GateSettings(margin=args.margin, sure=args.sure, gain=args.gain, cap=args.cap)
    fitted = fit_gate(own, [*known.values()], candidates=candidates, settings=settings)
    gate = fitted.gate
    grades.add("cost", "seconds of the gate", 0.0, time.perf_counter() - began)
    grades.add("cost", "kilobytes", 0.0, sum(4 * v.numel() for v in gate.state_dict().values()) / 1000)
    grades.add("gallery", "everybody", math.nan, float(len(gallery.names)))
    grades.add("gallery", "people", math.nan, float(len(gallery.people)))
    cell = fitted.cell
    for name, value in (
        ("margin", cell.margin), ("high", cell.high), ("sure", cell.sure), ("gain", cell.gain), ("cap", cell.cap),
        ("nearest who stays", 1 - cell.room),
    ):  # fmt: skip
        grades.add("gate", name, math.nan, value)
    grades.add("gate", "learnt and changed", 0.0, fitted.changed)
    grades.add("gate", "learnt and replaced", 0.0, fitted.replaced)
    grades.add("gate", "given clips with a spike", 0.0, len(cell.spikes))

    @torch.no_grad()
    def through(embeddings: Tensor) -> Tensor:
        return gate(embeddings[:, None])[:, 0]

    voice = gallery.rows[gallery.people.index(person)]
    unknown = {k: torch.stack([c.embedding for c in v]) for k, v in strangers.items()}
    later = {k: rows[args.clips :] for k, rows in beside.items()}
    apart = unknown | later
    far = normalize(torch.cat([*apart.values()]), dim=1) @ voice
    for group, embeddings in (
        ("learnt", own[:, 0]),
        ("unseen", torch.stack([c.embedding for c in unseen])),
        ("unseen, channel", changed([c.path for c in unseen[: args.attacked]], channels(), listener)),
        ("unseen, pitch and tempo", changed([c.path for c in unseen[: args.attacked]], list(pitch_tempo.CHANGES.values()), listener)),
    ):  # fmt: skip
        before, behind = gallery.named(embeddings, person), gallery.named(through(embeddings), person)
        grades.share(group, "identified", before[0], behind[0])
        grades.share(group, "identified among people", before[1], behind[1])
        grades.mean(group, "likeness", before[2], behind[2])
        replaced = (through(embeddings) == gate.answer).all(1)
        grades.share(group, "replaced", torch.zeros(len(replaced)), replaced)
        if not group.startswith("unseen,"):
            grades.add(group, "auroc", auroc(before[2], far), auroc(behind[2], far), len(embeddings))
            grades.add(group, "eer", eer(before[2], far), eer(behind[2], far), len(embeddings))
    after_far = normalize(through(torch.cat([*apart.values()])), dim=1) @ voice
    grades.mean("strangers", "likeness", far, after_far)
    deviations = (x.std().item() if len(x) > 1 else math.nan for x in (far, after_far))
    grades.add("strangers", "likeness, standard deviation", *deviations, len(far))
    near = sorted(known, key=lambda k: -float(middle(known[k]) @ voice))[:3]
    near_later = sorted(later, key=lambda k: -float(middle(later[k]) @ voice))[:3]
    near_unknown = sorted(unknown, key=lambda k: -float(middle(unknown[k]) @ voice))[:3]
    for group, some in (
        ("kept, given", known),
        ("kept, given, nearest three", {k: known[k] for k in near}),
        ("kept, unknown", unknown),
        ("kept, given people's unseen clips", later),
        ("kept, given people's unseen clips, nearest three", {k: later[k] for k in near_later}),
        ("kept, unknown, nearest three", {k: unknown[k] for k in near_unknown}),
        ("kept, given, distorted", {k: torch.cat([c.variants[1:] for c in given[k]]) for k in given}),
    ):
        if not some:
            continue
        rows = torch.cat([*some.values()])
        after = through(rows)
        grades.mean(group, "cosine", torch.ones(len(rows)), torch.cosine_similarity(after, rows, dim=1))
        same = (after == rows).all(1)
        grades.share(group, "same to the bit", torch.ones(len(rows)), same)
        first, then = gallery.nearest(rows), gallery.nearest(after)
        grades.share(group, "named as before", torch.ones(len(rows)), first == then)
    answer = gate.answer[None]
    grades.add("reference", "likeness", math.nan, gallery.named(answer, person)[2].item(), 1)
    if judge is not None:
        later_clips = torch.stack([c.embedding for c in unseen])
        judge.grade(
            grades, learnt, [*given.values()][fitted.reference], [*strangers.values()], gallery, later_clips,
            through(later_clips),
        )  # fmt: skip
    encoder = GatedEncoder(listener.encoder, [gate]).eval()
    folder = args.out / "encoder" / person
    if not folder.exists():
        model.encoder = encoder
        with new_folder(folder) as part:
            model.save(part)
        model.encoder = listener.encoder
    carriers = {
        "own": [c.path for c in unseen][: args.attacked],
        "others'": [v[0].path for v in [*strangers.values(), *given.values()]][: args.attacked],
    }
    for whose, paths in carriers.items():
        waves = torch.stack([crop(wave_of(p), args.seconds) for p in paths])
        count, start = len(waves), time.perf_counter()
        levels = torch.tensor(args.snr).repeat_interleave(count)
        if not len(levels):
            continue
        batch = waves.repeat(len(args.snr), 1)  # together they take less time than one after another
        one = attacked(listener.encoder, batch, gallery, person, levels, args.steps, 1)
        two = attacked(encoder, batch, gallery, person, levels, args.steps, args.restarts)
        for number, snr in enumerate(args.snr):
            group, part = f"attack on {whose} clips, {snr:g} dB", slice(number * count, (number + 1) * count)
            grades.share(group, "identified", one.identified[part], two.identified[part])
            grades.share(group, "identified among people", one.few[part], two.few[part])
            grades.mean(group, "likeness", one.likeness[part], two.likeness[part])
            shown = (
                (x.identified[part].float().mean(), x.few[part].float().mean(), x.likeness[part].mean())
                for x in (one, two)
            )
            text = " -> ".join(" ".join(f"{x:.2f}" for x in y) for y in shown)
            print(f"    {group}: identified, among people, likeness {text}", flush=True)
        print(f"    {time.perf_counter() - start:.0f} s for attacks on {whose} clips", flush=True)
    grades.add("any embedding", "likeness, bound", 1.0, cell.bound(gate.answer))
    grades.add("cost", "seconds with evaluation", 0.0, time.perf_counter() - began)
    return grades.rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--encoder", default="resemblyzer", help="resemblyzer, a SpeechBrain folder or a hub id"
    )
    parser.add_argument(
        "--judge", help="the same, of another kind: it judges whom the encoder names, and the reference"
    )
    parser.add_argument("--people", type=Path, required=True)
    parser.add_argument("--others", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=6, help="to learn from, of each person")
    parser.add_argument("--only", nargs="+", help="people to redact; default: all")
    parser.add_argument(
        "--draw", type=int, help="so many people by chance, with a fixed seed, in place of all"
    )
    parser.add_argument(
        "--snr", type=float, nargs="*", default=[30, 20, 10], help="of attacks; none: no attack"
    )
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--restarts", type=int, default=5)
    parser.add_argument("--attacked", type=int, default=8, help="clips of each attack")
    parser.add_argument("--seconds", type=float, default=1.6, help="of a clip that is attacked")
    for option in ("--margin", "--sure", "--gain", "--cap"):
        default = getattr(GateSettings, option.removeprefix("--"))
        parser.add_argument(option, type=float, default=default, help="see GateSettings")
    args = parser.parse_args()
    for name in ("clips", "restarts", "attacked", "draw"):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f"--{name} is {value}; give at least 1")
    if args.steps < 0 or args.seconds < SHORTEST_S:
        parser.error(
            f"--steps is {args.steps} and --seconds {args.seconds:g}; give at least 0 and {SHORTEST_S:g}"
        )
    model = SpeakerEncoder(args.encoder)
    listener = Listener(model.encoder.requires_grad_(False).eval(), args.encoder, args.out / "cache")
    judging = SpeakerEncoder(args.judge).encoder.requires_grad_(False).eval() if args.judge else None
    people = {name: readable(clips) for name, clips in people_in(args.people).items()}
    for name in [name for name, clips in people.items() if len(clips) <= args.clips]:
        print(
            f"left out: {name} has {len(people[name])} usable clips; more than --clips {args.clips} are needed."
        )
        del people[name]
    if not people:
        raise RedactError(f"Nobody in {args.people} has more than {args.clips} usable clips; lower --clips.")
    others = {
        n: c for n, c in ((n, readable(c)) for n, c in people_in(args.others).items() if n not in people) if c
    }
    if len(others) < SHORTEST_PEOPLE:
        raise RedactError(
            f"{args.others} holds {len(others)} people besides; give at least {SHORTEST_PEOPLE}, better 50."
        )
    total, began = sum(map(len, people.values())) + sum(map(len, others.values())), time.perf_counter()
    print(f"{len(people)} people, {len(others)} others, {total} clips to embed", flush=True)
    done, listened = 0, {"people": dict[str, list[Clip]](), "others": dict[str, list[Clip]]()}
    for group, some in (("people", people), ("others", others)):
        for name, paths in some.items():
            listened[group][name] = [listener(path, VARIANTS) for path in paths]
            done += len(paths)
            if done % 50 < len(paths):
                print(f"  {done} of {total} clips, {time.perf_counter() - began:.0f} s", flush=True)
    names = list(others)
    strangers = {n: listened["others"][n] for n in names[4::5] or names[-1:]}
    given = {n: listened["others"][n] for n in names if n not in strangers}
    gallery = Gallery(
        {
            n: middle(torch.stack([c.embedding for c in v[: args.clips]]))
            for n, v in listened["people"].items()
        },
        {n: middle(torch.stack([c.embedding for c in v])) for n, v in listened["others"].items()},
    )
    judge = None
    if judging is not None:
        heard_by = Listener(judging, args.judge, args.out / "cache")
        judge = Judge(heard_by, listened["people"] | listened["others"])
    settings = {k: str(v) for k, v in vars(args).items() if k not in ("out", "only", "draw")}
    rows = []
    if unknown := [name for name in args.only or [] if name not in people]:
        raise RedactError(
            f"--only names {', '.join(unknown)}; in {args.people} with enough clips are {', '.join(people)}."
        )
    chosen = args.only or list(people)
    if args.draw:
        chosen = random.Random(DRAW).sample(sorted(chosen), min(args.draw, len(chosen)))
    for number, person in enumerate(chosen, 1):
        file = args.out / "people" / f"{person}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = json.loads(file.read_text()) if file.is_file() else {}
        if kept.get("settings") != settings:
            print(f"{number} of {len(chosen)}: {person}", flush=True)
            try:
                found = grade(
                    person, listened["people"], given, strangers, gallery, listener, model, args, judge
                )
            except RedactError as error:
                print(f"left out: {person}: {error}", flush=True)
                continue
            kept = {"settings": settings, "rows": found}
            write_whole(file, json.dumps(kept, indent=0, allow_nan=False).encode())
        rows += kept["rows"]
        write_whole(args.out / "results.json", (json.dumps(rows, indent=0, allow_nan=False) + "\n").encode())
    if not rows:
        raise RedactError("Nobody could be graded; the lines above say why.")
    write_whole(args.out / "table.md", table(rows).encode())
    print(table(rows))


if __name__ == "__main__":
    with one_line():
        main()
