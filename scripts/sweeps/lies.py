"""Two hundred bad inputs, made from kinds: does each end in one clear line, with nothing left behind?

    python scripts/sweeps/lies.py --out out/sweeps [--n 200] [--seed 0]

Kinds: prompts, clips, model folders, weights, configs, cards, evidence, plans, options. Each input is drawn
from its kind with a seed. Wanted of each: exit status 2, no traceback, a last line that says what is wrong, an
unchanged folder beside it, and an end within two minutes of processor time. Inputs that are in order after all end with status 0 and
are counted apart. Prints a table by kind, writes OUT/lies.json with every message, to be read by a person; a sweep
that was stopped goes on from there.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from forked import result, run, tree, warm_up
from tally import table_by_kind
from tqdm import tqdm


@dataclass(frozen=True)
class Lie:
    """One bad input."""

    kind: str
    what: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """How the command met it."""

    kind: str
    what: str
    verdict: str
    """``clear``, ``accepted``, ``traceback``, ``status N``, ``hangs``, ``left behind`` or ``no line``."""
    line: str


class World:
    """Tiny models, voices, evidence and a card that are in order, made when they are wanted; a lie spoils a copy."""

    def __init__(self, root: Path):
        from toy_evaluation import PictureToy, without_plums

        self.root = root
        self.toy = without_plums(PictureToy(), root)

    @cached_property
    def pictures(self) -> Path:
        from tiny import tiny_stable_diffusion

        return tiny_stable_diffusion(self.root / "pictures")

    @cached_property
    def speech(self) -> Path:
        from tiny_speech import tiny_speecht5

        tiny_speecht5(self.root / "tts")
        return self.root / "tts"

    @cached_property
    def encoder(self) -> Path:
        from tiny_speech import tiny_encoder

        tiny_encoder(self.root / "encoder")
        return self.root / "encoder"

    @cached_property
    def bank(self) -> Path:
        from tiny_speech import tiny_bank

        tiny_bank(self.root / "bank")
        return self.root / "bank"

    @cached_property
    def evidence(self) -> Path:
        self.done(self.evaluate(self.root / "evidence"))
        return self.root / "evidence"

    @cached_property
    def redacted(self) -> Path:
        """A folder with a card."""
        self.done(self.fit_toy(self.root / "with_card"))
        return self.root / "with_card"

    def done(self, arguments: list[str]) -> None:
        ended = run(arguments, self.root / "log")
        if ended.status:
            raise SystemExit(ended.errors)

    def fit(
        self, source: Path, out: Path, *more: str, redact: str = "cat", reference: str = "dog"
    ) -> list[str]:
        return [
            "fit", "--model.adapter", "StableDiffusion", f"--model.adapter.source={source}", f"--data.redact={redact}",
            f"--data.reference={reference}", f"--export.folder={out}", "--trainer.max_steps=2",
            "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", *more,
        ]  # fmt: skip

    def fit_toy(self, out: Path, *more: str) -> list[str]:
        return [
            "fit", "--model.adapter", "toy_evaluation.PictureToy", "--data.redact=plum", "--data.reference=fig",
            f"--export.folder={out}", "--trainer.max_steps=4", "--trainer.accelerator=cpu",
            "--trainer.enable_progress_bar=false", *more,
        ]  # fmt: skip

    def fit_voice(self, out: Path, encoder: Path, voice: Path, *more: str) -> list[str]:
        return [
            "fit", "--model.adapter", "SpeechT5", f"--model.adapter.source={self.speech}",
            f"--model.adapter.encoder={encoder}", f"--model.adapter.bank={self.bank}", "--model.adapter.seconds=0.7",
            "--model.adapter.variants=1", f"--data.redact={voice}", "--data.reference=bob", f"--export.folder={out}",
            "--trainer.max_steps=2", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", *more,
        ]  # fmt: skip

    def fit_voice_of_bank(self, out: Path) -> list[str]:
        return self.fit_voice(out, self.encoder, self.bank / "alice")

    def evaluate(self, out: Path, *more: str) -> list[str]:
        return [
            "evaluate", "--base", "toy_evaluation.PictureToy", f"--redacted={self.toy}", f"--out={out}",
            "--n=4", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false",
            *(more or ("--redact=plum", "--reference=fig")),
        ]  # fmt: skip


TEXTS = ["", " ", "\t", "\u00a0", "\u200b", "x " * 200, "cat\x00dog", "\ud800", "[", "[cat", "{a: 1}", "null", "cat;dog", "cat|dog", "\ufeffcat", "-1", "1e400", "cat\ncat", "style:", "style: nobody"]  # fmt: skip
BYTES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "empty": lambda data, rng: b"",
    "cut in half": lambda data, rng: data[: len(data) // 2],
    "cut to a few bytes": lambda data, rng: data[: rng.randint(1, 16)],
    "noise": lambda data, rng: rng.randbytes(max(64, min(len(data), 4096))),
    "zeros": lambda data, rng: bytes(len(data)),
    "text": lambda data, rng: b"this is no such file\n",
    "a list in JSON": lambda data, rng: b"[1, 2]",
    "an empty object": lambda data, rng: b"{}",
    "html": lambda data, rng: b"<!doctype html><p>404",
    "a pointer of Git LFS": lambda data, rng: b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12\n",
    "one byte flipped in the head": lambda data, rng: bytes([data[0] ^ 0x55]) + data[1:] if data else b"x",
}  # fmt: skip


def spoil(path: Path, rng: random.Random) -> str:
    """Damage a file, or put something else in its place; what was done."""
    how = rng.choice([*BYTES, "missing", "a folder", "a link to itself", "a pipe"])
    data = path.read_bytes()
    path.unlink()
    if how == "a folder":
        path.mkdir()
    elif how == "a link to itself":
        path.symlink_to(path)
    elif how == "a pipe":
        os.mkfifo(path)
    elif how != "missing":
        path.write_bytes(BYTES[how](data, rng))
    return how


def files_of(folder: Path, *endings: str) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and (not endings or p.suffix in endings))


def prompts(world: World, here: Path, rng: random.Random) -> Lie:
    text = rng.choice(TEXTS)
    place = rng.choice(["redact", "reference", "file"])
    if place == "file":
        (here / "rows.csv").write_bytes(rng.choice([b"asked\ncat\n", b"asked,answer\ncat\n", b"asked,answer\n,\n", b"a,b\ncat,dog\n", b"asked,answer,weight\ncat,dog,heavy\n", b"asked,answer,weight\ncat,dog,-1\n", b"asked,answer,weight\ncat,dog,nan\n", b"\xff\xfe\x00", b"asked,answer\n" + b"x " * 300 + b",dog\n", b"asked,answer\ncat,cat\n"]))  # fmt: skip
        told = (here / "rows.csv").read_bytes()[:40]
        base = [a for a in world.fit(world.pictures, here / "out") if not a.startswith("--data.")]
        return Lie("prompts", f"lessons {told!r}", (*base, f"--data.lessons={here / 'rows.csv'}"))
    return Lie("prompts", f"{place} {text[:20]!r}", tuple(world.fit(world.pictures, here / "out", **{place: text.encode('utf-8', 'surrogatepass').decode('utf-8', 'replace') if '\ud800' in text else text.replace('\x00', '\\x00')})))  # fmt: skip


def clips(world: World, here: Path, rng: random.Random) -> Lie:
    import numpy as np
    import soundfile

    voice = here / "voice"
    shutil.copytree(world.bank / "alice", voice)
    how = rng.choice(
        [
            "all spoilt",
            "one spoilt",
            "silence",
            "nan",
            "short",
            "rates",
            "none",
            "text only",
            "missing",
            "loud",
        ]
    )
    if how.endswith("spoilt"):
        each = files_of(voice) if how == "all spoilt" else files_of(voice)[:1]
        how = f"{how}: {', '.join(spoil(path, rng) for path in each)}"
    elif how == "missing":
        shutil.rmtree(voice)
    elif how in {"none", "text only"}:
        for path in files_of(voice):
            path.unlink()
        if how == "text only":
            (voice / "notes.txt").write_text("hello")
    else:
        wave = {"silence": np.zeros(16000), "nan": np.full(16000, np.nan), "short": np.ones(3) / 2, "rates": np.ones(100) / 2, "loud": np.full(16000, np.inf)}[how]  # fmt: skip
        for path in files_of(voice):
            path.unlink()
        rate = 1 if how == "rates" else 16000
        for number in range(3):  # three that are not copies of one another
            path = voice / f"{number}.wav"
            soundfile.write(path, np.append(wave, wave[:number]).astype("float32"), rate, subtype="FLOAT")
    return Lie("clips", how, tuple(world.fit_voice(here / "out", world.encoder, voice)))


def folders(world: World, here: Path, rng: random.Random) -> Lie:
    if rng.random() < 0.35:
        shutil.copytree(world.encoder, here / "encoder")
        path = rng.choice(files_of(here / "encoder"))
        how = spoil(path, rng)
        return Lie("folders", f"speaker encoder, {path.name}: {how}", tuple(world.fit_voice(here / "out", here / "encoder", world.bank / "alice")))  # fmt: skip
    shutil.copytree(world.pictures, here / "base")
    path = rng.choice(files_of(here / "base", ".json", ".txt"))
    if rng.random() < 0.4 and path.suffix == ".json":
        values = json.loads(path.read_text())
        if isinstance(values, dict) and values:
            key = rng.choice(sorted(values))
            values[key] = rng.choice([None, -1, "x", [], {}, 1e9, "../../etc"])
            path.write_text(json.dumps(values, allow_nan=False))
            how = f"{key} = {values[key]!r}"
        else:
            how = spoil(path, rng)
    else:
        how = spoil(path, rng)
    return Lie("folders", f"{path.relative_to(here)}: {how}", tuple(world.fit(here / "base", here / "out")))


def weights(world: World, here: Path, rng: random.Random) -> Lie:
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(world.pictures, here / "base")
    path = here / "base" / "text_encoder" / "model.safetensors"
    how = rng.choice(["spoilt", "nan", "shape", "missing key", "strange type"])
    if how == "spoilt":
        how = "spoilt: " + spoil(path, rng)
    else:
        state = load_file(path)
        key = rng.choice(sorted(k for k in state if state[k].is_floating_point()))
        if how == "nan":
            state[key] = torch.full_like(state[key], float("nan"))
        elif how == "shape":
            state[key] = state[key].flatten()[:-1].clone() if state[key].numel() > 1 else torch.zeros(3)
        elif how == "missing key":
            del state[key]
        else:
            state[key] = state[key].to(torch.int8)
        save_file(state, path, metadata={"format": "pt"})
        how = f"{how} {key}"
    return Lie("weights", how, tuple(world.fit(here / "base", here / "out")))


def configs(world: World, here: Path, rng: random.Random) -> Lie:
    texts = ["", "- a\n- b\n", "model: [", "\tmodel: 1\n", "model: 3\n", "nonsense: 1\n", "model:\n  adapter: Nobody\n", "model:\n  adapter:\n    class_path: os.system\n", "data:\n  batch_size: many\n", "trainer:\n  max_steps: [1]\n", "trainer:\n  max_stepz: 1\n", "a: &a [*a]\n", "model: !!python/object/apply:os.system [true]\n", "export: null\n", "model:\n  lr: fast\n", "data:\n  redact: {a: b}\n", "\x00", "model:\n  objective: Trainer\n", "model:\n  objective: redact_core.Distillation\n  objectiv: 1\n"]  # fmt: skip
    text = rng.choice(texts)
    path = here / "config.yaml"
    how = rng.choice(["text"] * 6 + ["missing", "folder", "bytes"])
    if how == "folder":
        path.mkdir()
    elif how == "bytes":
        path.write_bytes(rng.randbytes(64))
    elif how == "text":
        path.write_text(text)
    base = world.fit_toy(here / "out")
    return Lie(
        "configs", f"{how} {text[:40]!r}" if how == "text" else how, (base[0], "-c", str(path), *base[1:])
    )


def cards(world: World, here: Path, rng: random.Random) -> Lie:
    shutil.copytree(world.redacted, here / "folder")
    path = here / "folder" / "redaction.json"
    how = rng.choice(["spoilt", "value", "value", "value", "foreign file", "changed file"])
    if how == "spoilt":
        how = "spoilt: " + spoil(path, rng)
    elif how == "value":
        values = json.loads(path.read_text())
        key = rng.choice(sorted(values))
        values[key] = rng.choice([None, 3, "x", [], {"../../x": "y"}, {"a": 1}])
        path.write_text(json.dumps(values, allow_nan=False))
        how = f"{key} = {values[key]!r}"
    elif how == "changed file":
        victim = rng.choice([p for p in files_of(here / "folder") if p != path and p.name != "README.md"])
        how = f"{victim.name}: {spoil(victim, rng)}"
    else:
        path.write_text('{"schema": 99}')
    return Lie("cards", how, ("card", str(here / "folder")))


def evidence(world: World, here: Path, rng: random.Random) -> Lie:
    shutil.copytree(world.evidence, here / "evidence")
    verb = rng.choice(["report", "report", "score", "evaluate"])
    path = rng.choice(
        [p for p in files_of(here / "evidence") if p.suffix in {".json", ".jsonl"} or rng.random() < 0.1]
    )
    how = spoil(path, rng)
    out = here / "evidence"
    arguments = world.evaluate(out) if verb == "evaluate" else [verb, str(out)]
    return Lie("evidence", f"{verb}, {path.relative_to(out)}: {how}", tuple(arguments))


def plans(world: World, here: Path, rng: random.Random) -> Lie:
    texts = [b"", b"condition\n", b"group,seed\nredacted,1\n", b"condition,group,kind,seed,redacted\nplum,redacted,word,many,true\n", b"condition,group,kind,seed,redacted\nplum,redacted,word,-1,true\n", b"condition,group,kind,seed,redacted\nplum,redacted,word,1,perhaps\n", b"\xff\xfe", b"condition,condition\nplum,plum\n", b"condition,group,kind,seed,redacted\nnoword,redacted,word,1,true\n", b'"', b"condition,group,kind,seed,redacted\nplum,redacted,word,99999999999999999999999,true\n", b"{}\n", b"[]\n", b'{"condition": 3}\n']  # fmt: skip
    text = rng.choice(texts)
    path = here / rng.choice([*["plan.csv", "plan.jsonl"] * 5, "plan.txt"])
    if rng.random() < 0.9:
        path.write_bytes(text)
    return Lie("plans", f"{path.name} {text[-50:]!r}", tuple(world.evaluate(here / "out", f"--plan={path}")))


def options(world: World, here: Path, rng: random.Random) -> Lie:
    more = rng.choice(["--model.lr=nan", "--model.lr=-1", "--model.lr=inf", "--model.lr=0", "--data.batch_size=-1", "--data.batch_size=0", "--data.seed=-1", "--data.seed=1.5", "--trainer.max_steps=0", "--trainer.max_steps=-5", "--trainer.max_epochs=0", "--trainer.devices=99", "--trainer.accelerator=gpu", "--trainer.accelerator=abacus", "--trainer.precision=3-bit", "--trainer.precision=16-true", "--trainer.strategy=nobody", "--ckpt_path=nowhere.ckpt", "--ckpt_path=best", "--ckpt_path=last", "--export.disclosure=secret", "--export.disclosure=digest", "--export.key=/nowhere", "--model.objective=Nobody", "--model.objective=ToyAdapter", "--model.objective.radius=3", "--trainer.logger=WandbLogger", "--trainer.logger=TensorBoardLogger", "--trainer.limit_train_batches=0", "--trainer.fast_dev_run=true", "--optimizer=Nobody", "--trainer.gradient_clip_val=x", "--export.folder=/proc/x/out", "--export.folder=", "--model.adapter.source=", "--model.adapter.source=nobody/nothing", "--model.adapter.dtype=float8", "--datta.redact=x", "--data.retain=/nowhere.txt", "--data.retain=[templates, nowhere.txt]", "--data.retain=nonsense", "--data.lessons=nowhere.csv", "--config=nowhere.yaml", "--config=/dev/zero", "--export.key=/dev/urandom", "--model.objective.class_path=os.system", "--model.objective=RobustDistillation", "--model.objective=Gating", "--model.adapter.train_blocks=99", "--model.adapter.per_name=-1", "--model.adapter.truncate=perhaps", "--model.adapter.variant=fp32", "--trainer.limit_train_batches=-1", "--trainer.accumulate_grad_batches=0", "--trainer.devices=0", "--trainer.devices=-7", "--trainer.callbacks=Nobody", "--trainer.default_root_dir=/proc/x", "--checkpoint.dirpath=/proc/x", "--ckpt_path=/etc/passwd", "--ckpt_path=", "--checkpoint.every_n_train_steps=-1", "--trainer.max_time=soon", "--trainer.overfit_batches=-1", "--trainer.val_check_interval=x", "stray"])  # fmt: skip
    if more.startswith(("--model.adapter.", "--data.retain")):
        return Lie("options", more, tuple(world.fit(world.pictures, here / "out", more)))
    return Lie("options", more, tuple(world.fit_toy(here / "out", more)))


KINDS = (prompts, clips, folders, weights, configs, cards, evidence, plans, options)


def judge(lie: Lie, here: Path, log: Path) -> Answer:
    """Tell the lie and look at what becomes of it."""
    before = tree(here)
    earlier = {p: result(p) for p in here.iterdir() if p.is_dir()}
    ended = run(lie.arguments, log)
    lines = [text for text in ended.errors.splitlines() if text.strip()]
    last = next((text for text in reversed(lines) if text.startswith(("redact", "error", "usage"))), "")
    stray = tree(here) - before
    if "Traceback" in ended.errors:
        verdict, last = "traceback", " / ".join(lines[-2:])
    elif ended.status < 0:
        verdict = "hangs"
    elif ended.status == 0:
        verdict = "accepted"
    elif ended.status != 2:
        verdict = f"status {ended.status}"
    elif not last:
        verdict, last = "no line", " / ".join(lines[-2:])
    elif stray or any(result(p) != was for p, was in earlier.items()):
        verdict, last = "left behind", f"{sorted(stray)[:3]} {last}"
    else:
        verdict = "clear"
    return Answer(lie.kind, lie.what, verdict, last[:400])


DRAWS = 20
"""How often a kind is asked for a lie that was not told yet; few kinds run out of them."""


def tell(world: World, root: Path, seed: int, number: int, told: set[str]) -> Answer:
    """The lie of a number, and how it was met; another one of its kind where it is already ``told``."""
    kind = KINDS[number % len(KINDS)]
    for draw in range(DRAWS):
        here = root / "lies" / f"{number}.{draw}"
        here.mkdir(parents=True)
        lie = kind(world, here, random.Random(f"{seed} {number} {draw}"))
        if lie.what not in told or draw == DRAWS - 1:
            break
        shutil.rmtree(here)
    answer = judge(lie, here, root / "log")
    shutil.rmtree(here)
    return answer


def earlier(path: Path, seed: int) -> list[Answer]:
    """What a sweep of that seed found before it was stopped."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"seed": None}
    return [Answer(**row) for row in found["rows"]] if found["seed"] == seed else []


def write(path: Path, seed: int, answers: list[Answer]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {
        "seed": seed,
        "date": datetime.date.today().isoformat(),
        "rows": [asdict(answer) for answer in answers],
    }
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    path = options.out / "lies.json"
    answers = earlier(path, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        warm_up(
            world.fit_toy, world.evaluate, lambda out: world.fit(world.pictures, out), world.fit_voice_of_bank
        )
        for number in tqdm(range(len(answers), options.n), desc="lies", unit="lie"):
            told = {answer.what for answer in answers}
            answers.append(tell(world, Path(folder), options.seed, number, told))
            write(path, options.seed, answers)
    print("\n".join(table_by_kind([asdict(answer) for answer in answers])))
    for answer in answers:
        if answer.verdict not in {"clear", "accepted"}:
            print(f"{answer.verdict}: {answer.kind}: {answer.what}: {answer.line}")
    raise SystemExit(0 if all(a.verdict in {"clear", "accepted"} for a in answers) else 1)


if __name__ == "__main__":
    main()
