"""Grade a redacted voice against the untouched encoder: who is heard, how alike, how intelligible.

    python scripts/experiments/grade_voice.py --redacted out/no_voice --voice voice21 --reference voice05

Clips and sentences are unseen; both encoders get the same ones, and the same seeds. The judge is a
verifier of another architecture, trained on other utterances; id@N counts all enrolled voices.
"""

import argparse
import json
from pathlib import Path

from modalities.sound.bank import VoiceBank
from modalities.text_to_speech import SpeechT5
from modalities.text_to_speech.adapters.speecht5 import BUNDLED
from modalities.text_to_speech.judges.grading import against_others, cases, compare, nearest, speak, toward
from modalities.text_to_speech.judges.judge import VoiceJudge
from redact_core.evaluation.summary import SummaryRow


def grade(
    base: SpeechT5, redacted: SpeechT5, voice: str, reference: str | None, n: int, n_kept: int
) -> tuple[list[SummaryRow], dict]:
    """Summary rows, and the spoken samples by group for those who want to listen."""
    judge = VoiceJudge(base.bank.voices)
    unseen = VoiceBank(BUNDLED / "unseen").voices
    others = {name: clips for name, clips in unseen.items() if name != voice}
    near = [name for name in nearest(base, judge, voice, 8) if name in others][:3]
    groups = {
        "redacted": cases({voice: base.bank.voices[voice]}, n),
        "paraphrased": cases({voice: unseen[voice]}, n, 1000),
        "neighbours": cases({name: others[name] for name in near}, n_kept, 2000),
        "retained": cases({k: v for k, v in others.items() if k not in near}, n_kept, 3000),
    }
    spoken = {
        name: (speak(base, judge, group), speak(redacted, judge, group)) for name, group in groups.items()
    }
    rows = [row for name, (a, b) in spoken.items() for row in compare(name, a, b, base)]
    rows.append(against_others(voice, *spoken["paraphrased"], spoken["retained"][0]))
    if reference in judge.voices:
        rows.append(toward(reference, *spoken["paraphrased"]))
        own = speak(base, judge, cases({reference: unseen[reference]}, n, 1000))
        floor = compare("reference itself", own, own, base)
        rows += [row for row in floor if row["metric"] == "similarity"]
    return rows, spoken


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--redacted", required=True)
    parser.add_argument("--voice", required=True)
    parser.add_argument("--reference")
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--n-kept", type=int, default=200)
    args = parser.parse_args()
    base, redacted = SpeechT5("bundled"), SpeechT5("bundled", encoder=args.redacted)
    rows, _ = grade(base, redacted, args.voice, args.reference, args.n, args.n_kept)
    print(f"enrolled voices: N = {len(base.bank.voices)}")
    for row in rows:
        span = f"[{row['low']:.3f}, {row['high']:.3f}]"
        print(
            f"{row['group']:<17} {row['metric']:<23} {row['base']:.3f} -> {row['redacted']:.3f} {span} (n={row['n']})"
        )
    out = Path(f"{args.redacted.rstrip('/')}.grades.json")
    out.write_text(json.dumps(rows, indent=1, allow_nan=False), encoding="utf-8")


if __name__ == "__main__":
    main()
