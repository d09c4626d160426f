"""Grade the three redactions of scripts/demo.sh and show them: summary.json and report.html.

    python scripts/experiments/demo.py --out out/demo

Small samples, wide intervals: scripts/experiments/grade_redaction.py and scripts/experiments/grade_voice.py take more.
"""

import argparse
import io
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import soundfile
import torch
from PIL import Image

from modalities.picture_files import to_bytes
from modalities.sound.clips import RATE
from redact_core.evaluation.summary import SummaryRow, write_summary
from redact_core.reporting.report import Report

CONCEPT, CONCEPT_REFERENCE, STYLE, STYLE_REFERENCE, VOICE, VOICE_REFERENCE = (
    "cigarette", "lollipop", "twemoji", "fluent", "voice21", "voice05",
)  # fmt: skip
SHOWN = 6


def png(picture) -> bytes:
    pixels = to_bytes(picture.permute(1, 2, 0)).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def wav(wave) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, wave.numpy(), RATE, format="OGG", subtype="VORBIS")
    return buffer.getvalue()


def pictures(kind: str, folder: Path, n: int, report: Report, device: str) -> list[SummaryRow]:
    """Rows of one redaction of the image base; its pictures go into the report."""
    # imported here, so that each of the two processes loads its own modality and both do so at the same time
    from modalities.text_to_image import StableDiffusion
    from modalities.text_to_image.adapters.folders import BUNDLED
    from modalities.text_to_image.metrics.grader import Judge
    from modalities.text_to_image.metrics.grading import found, nearest, row, sample
    from modalities.text_to_image.prompts.groups import groups

    base = StableDiffusion("bundled", batch_size=50).to(device)
    model = StableDiffusion(str(folder), steps=base.steps, guidance=base.guidance, batch_size=50).to(device)
    understood = frozenset(json.loads((BUNDLED / "understood.json").read_text(encoding="utf-8")))
    subject, reference = (
        (CONCEPT, CONCEPT_REFERENCE) if kind == "concept" else (f"style: {STYLE}", STYLE_REFERENCE)
    )
    near = nearest(base, CONCEPT) if kind == "concept" else []
    cases = groups(subject, reference, base.vocabulary, near, n=n, understood=understood)
    cases["paraphrased"] = [*cases.pop("reworded")[: n // 2], *cases.pop("synonyms", [])[: n - n // 2]]
    judge, rows = Judge(), []
    for label in ("redacted", "paraphrased", "neighbours", "retained"):
        group = cases[label]
        prompts = [case.prompt for case in group]
        before, after = (sample(m, prompts, 0, f"{kind}, {label}, {m.source}") for m in (base, model))
        # a redaction of a style shall leave the concepts: those are what the kept groups are asked for
        what = kind if label in ("redacted", "paraphrased") else "concept"
        rows.append(row(kind, label, *(found(judge(x), group, what) for x in (before, after))))
        if label in ("redacted", "neighbours"):
            title = f"{subject} redacted: {label}"
            few = slice(0, SHOWN)
            report.pictures(title, prompts[few], list(map(png, before[few])), list(map(png, after[few])))
    return rows


def voices(
    folder: Path, n: int, device: str
) -> tuple[list[SummaryRow], dict[str, list[tuple[str, bytes, bytes]]]]:
    """Rows of the redacted voice, and by group some samples to listen to: caption, base, redacted."""
    from grade_voice import grade

    from modalities.text_to_speech import SpeechT5

    base, redacted = (x.to(device) for x in (SpeechT5("bundled"), SpeechT5("bundled", encoder=str(folder))))
    rows, spoken = grade(base, redacted, VOICE, VOICE_REFERENCE, n, n)
    heard = {}
    for label in ("paraphrased", "neighbours"):
        before, after = spoken[label]
        heard[label] = [
            (f"clip of {case.voice}: “{base.sentence(case.seed)}”", wav(a), wav(b))
            for case, a, b in zip(before.cases[:3], before.samples[:3], after.samples[:3], strict=True)
        ]
    return rows, heard


def aside(log: Path, threads: int) -> None:
    """What a process beside this one does first; two progress bars cannot share a terminal."""
    sys.stderr = log.open("w", encoding="utf-8")
    torch.set_num_threads(threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--n", type=int, default=32, help="pictures of a group and model")
    parser.add_argument("--n-voice", type=int, default=20, help="utterances of a group and model")
    there = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument(
        "--device", default=there, help="that models draw on; default: a GPU where there is one"
    )
    args = parser.parse_args()
    began = time.perf_counter()
    report = Report(
        "What was redacted, and what it cost",
        f"From the bundled bases: the concept {CONCEPT} (answered as {CONCEPT_REFERENCE}), the style {STYLE} "
        f"(answered as {STYLE_REFERENCE}), and the voice {VOICE} (answered as {VOICE_REFERENCE}). Base "
        "and redacted model get the same prompts, clips, sentences and seeds. Samples are small here; read "
        "the intervals. The bundled voices are understood with effort: about one letter in six is misread. The "
        "redaction lives in the prompt and speaker encoders alone: putting the stock encoder back undoes it.",
    )
    # a voice speaks step by step, which few threads do as fast as many
    log, threads = args.out / "no_voice.grading.log", (torch.get_num_threads() + 1) // 2
    print(f"The voice is graded beside the pictures; its progress goes to {log}.", flush=True)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=aside, initargs=(log, threads)) as pool:
        speaking = pool.submit(voices, args.out / "no_voice", args.n_voice, args.device)
        torch.set_num_threads(threads)
        rows = pictures("concept", args.out / "no_cigarette", args.n, report, args.device)
        rows += pictures("style", args.out / "no_twemoji", args.n, report, args.device)
        spoken, heard = speaking.result()
    rows += spoken
    for label, samples in heard.items():
        note = f"The redacted encoder answers clips of {VOICE} as if {VOICE_REFERENCE} spoke."
        report.sounds(f"{VOICE} redacted: {label}", samples, note=note)
    report.intervals(rows)
    report.table(rows)
    write_summary(args.out / "summary.json", rows)
    report.write(args.out / "report.html")
    print(f"{'task':<8} {'group':<17} {'metric':<23} {'base':>6} {'redacted':>9}  interval        n")
    for r in rows:
        span = f"[{r['low']:.2f}, {r['high']:.2f}]"
        print(
            f"{r['task']:<8} {r['group']:<17} {r['metric']:<23} {r['base']:6.2f} {r['redacted']:9.2f}  {span:<14} {r['n']:>3}"
        )
    print(f"Graded in {time.perf_counter() - began:.0f} s. See {args.out / 'report.html'}")


if __name__ == "__main__":
    main()
