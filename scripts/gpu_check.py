"""What needs a GPU, part by part, each in a process of its own; one table and gpu_check.json into --out.

    bash scripts/gpu_check.sh --out out/gpu_check                        # all of it, on one GPU
    python scripts/gpu_check.py --out out/gpu_check --parts voice tests  # some of it
    python scripts/gpu_check.py --out out/gpu_check --device cpu --short # a rehearsal without a GPU

Parts: the trainings ``prompt``, ``voice`` and ``robust`` of the bundled bases in every precision; a training
step at real size with random weights, ``size prompt`` (CLIP-L) and ``size voice`` (ECAPA of 1024 channels); then,
beside one another, for they are not timed, ``tests`` (marked ``gpu``) and ``demo`` (its three redactions trained
and graded). Whatever fails is printed with its last lines.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
CONFIGS = {
    "prompt": ("text_to_image/bundled",),
    "voice": ("text_to_speech/bundled",),
    "robust": ("text_to_image/bundled", "text_to_image/robust"),
}
STEPS = {"prompt": 100, "voice": 100, "robust": 60}
LIMITS = {
    "prompt": 110,
    "voice": 110,
    "robust": 150,
    "size prompt": 130,
    "size voice": 120,
    "tests": 280,
    "demo": 280,
}
"""Seconds that a part may take."""
WARM = 10
"""Steps that are not timed: kernels are chosen and memory is taken in them."""


def trainings(what: str, args: argparse.Namespace) -> list[dict]:
    """``redact fit`` as a user runs it, in each precision; milliseconds a step, cost and distances of the card."""
    import lightning as L
    import torch

    from lightning_modules.cli.fit import RedactCLI
    from lightning_modules.support.environment import quiet
    from lightning_modules.training.data import RedactionData
    from lightning_modules.training.module import RedactionModule
    from redact_core import RedactionCard

    class Steps(L.Callback):
        def __init__(self):
            self.seconds = []

        def on_train_batch_start(self, *_):
            wait(torch)
            self.began = time.perf_counter()

        def on_train_batch_end(self, *_):
            wait(torch)
            self.seconds.append(time.perf_counter() - self.began)

    quiet()
    sys.argv = sys.argv[:1]  # the command line of this script is not fit's
    rows = []
    for precision in PRECISIONS:
        timer, folder = Steps(), args.work / f"{what}_{precision}"
        steps = WARM + 5 if args.short else STEPS[what]
        given = [f"-c={ROOT}/configs/{name}.yaml" for name in CONFIGS[what]] + [
            f"--trainer.accelerator={'gpu' if args.device == 'cuda' else 'cpu'}", "--trainer.devices=1",
            f"--trainer.precision={precision}", f"--trainer.max_steps={steps}", "--trainer.logger=false",
            "--trainer.enable_progress_bar=false", f"--export.folder={folder}",
        ]  # fmt: skip
        row = {"training": what, "precision": precision}
        try:
            RedactCLI(
                RedactionModule, RedactionData, save_config_callback=None, seed_everything_default=0,
                args=["fit", *given], trainer_defaults={"callbacks": [timer]},
            )  # fmt: skip
            card = RedactionCard.read(folder)
            row |= {"ms a step": 1e3 * statistics.median(timer.seconds[WARM:]), "steps": len(timer.seconds)}
            row |= {"seconds": card.cost.get("seconds"), "peak bytes": card.cost.get("peak_bytes")}
            row |= card.measures
        except BaseException as error:
            failed(row, error)
        rows.append(row)
        print(json.dumps(row, allow_nan=False), flush=True)
    return with_ratio(rows, "ms a step")


def sizes(what: str, args: argparse.Namespace) -> list[dict]:
    """A training step at real size, plain and robust, in both precisions; share of the measured matrix rate."""
    import real_size
    import torch

    rows = []
    cases = [("plain", 64), ("plain", 256), ("robust", 64)]
    for student, batch in cases:
        for precision in ("fp32", "bf16"):
            row = {"encoder": what, "student": student, "batch": batch, "precision": precision}
            settings = argparse.Namespace(
                device=args.device, precision=precision, batch_size=4 if args.short else batch,
                steps=2 if args.short else 20, threads=torch.get_num_threads(), profile=(student, batch, precision) == ("plain", 64, "bf16"),
            )  # fmt: skip
            try:
                row |= real_size.measure(what, student, settings)
            except BaseException as error:
                failed(row, error)
            if args.device == "cuda":
                torch.cuda.empty_cache()
            rows.append(row)
            print(json.dumps(row, allow_nan=False), flush=True)
    return [
        row
        for case in cases
        for row in with_ratio([x for x in rows if (x["student"], x["batch"]) == case], "seconds")
    ]


def tests(args: argparse.Namespace) -> list[dict]:
    """The tests that are marked ``gpu``."""
    report = args.work / "tests.xml"
    command = [
        sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/gpu", "-p", "no:cacheprovider", "--no-header",
        f"--junitxml={report}",
    ]  # fmt: skip
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    from xml.etree import ElementTree

    found = ElementTree.parse(report).getroot()[0].attrib
    counts = {key: int(found[key]) for key in ("tests", "failures", "errors", "skipped")}
    return [counts | ({} if status == 0 else {"failed": f"pytest ended with status {status}"})]


def demo(args: argparse.Namespace) -> list[dict]:
    """The demo's three redactions and their figures."""
    out = args.work / "demo"
    command = [sys.executable, "-m", "lightning_modules", "demo", "--out", str(out), "--device", args.device]
    if args.short:
        command += ["--n", "4", "--n_voice", "2", "--steps", "15"]
    subprocess.run(command, cwd=ROOT, check=True)
    shutil.copyfile(out / "report.html", args.out / "demo_report.html")
    return json.loads((out / "summary.json").read_text(encoding="utf-8"))["rows"]


def wait(torch) -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def failed(row: dict, error: BaseException) -> None:
    """Note an error in the row; the part goes on."""
    if isinstance(error, KeyboardInterrupt):
        raise error
    traceback.print_exc()
    row["failed"] = (
        f"{type(error).__name__}: {str(error).strip().splitlines()[0][:300] if str(error) else ''}"
    )


def with_ratio(rows: list[dict], key: str) -> list[dict]:
    """Each row with its share of the first one's, which is in float32."""
    first = rows[0].get(key)
    return [row | ({"of fp32": row[key] / first} if first and key in row else {}) for row in rows]


def run_part(name: str, args: argparse.Namespace) -> None:
    """One part, in this process; its rows go to a file."""
    kind, _, what = name.partition(" ")
    part = {"size": lambda: sizes(what, args), "tests": lambda: tests(args), "demo": lambda: demo(args)}
    rows = part.get(kind, lambda: trainings(name, args))()
    (args.work / f"{name}.json").write_text(json.dumps(rows, allow_nan=False), encoding="utf-8")


def started(name: str, args: argparse.Namespace, began: float) -> dict:
    """One part in a process of its own: its rows, seconds, and whether it failed."""
    left = args.seconds - (time.perf_counter() - began)
    limit = max(1.0, min(LIMITS[name], left)) if args.device == "cuda" else args.seconds
    log = args.work / f"{name}.log"
    command = [
        sys.executable, "-u", __file__, "--part", name, "--out", str(args.out), "--work", str(args.work),
        "--device", args.device, *(["--short"] if args.short else []),
    ]  # fmt: skip
    paths = [str(ROOT), str(ROOT / "scripts" / "experiments"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}
    print(f"[{time.perf_counter() - began:4.0f} s] {name} ...", flush=True)
    start, problem = time.perf_counter(), None
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status = process.wait(limit)
            problem = f"ended with status {status}" if status else None
        except subprocess.TimeoutExpired:
            problem = f"took more than {limit:.0f} s"
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()
    path = args.work / f"{name}.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else rows_said(log)
    found = {"seconds": time.perf_counter() - start, "rows": rows}
    if problem:
        found["failed"] = problem
    bad = problem or next((row["failed"] for row in rows if "failed" in row), None)
    print(
        f"[{time.perf_counter() - began:4.0f} s] {name}: {'FAILED: ' + bad if bad else 'done'} ({found['seconds']:.0f} s)"
    )
    if bad:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        print("\n".join(f"    | {line[:300]}" for line in lines[-30:]), flush=True)
    return found


def rows_said(log: Path) -> list[dict]:
    """What a part that did not end had printed."""
    rows = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict):
                rows.append(found)
    return rows


def number(value: object, form: str, unit: float = 1.0) -> str:
    return format(value / unit, form) if isinstance(value, int | float) else "–"


def table(found: dict) -> list[str]:
    """All figures, for people."""
    lines = [
        f"{found['device']}, torch {found['torch']}, {found['date']}; fp32 products: {found['fp32']}",
        "",
    ]
    parts = found["parts"]
    lines += [
        "training of the bundled bases   precision    ms a step  of fp32  peak MB  seconds  redact distance   retain distance"
    ]
    for name in CONFIGS:
        for row in parts.get(name, {}).get("rows", []):
            gaps = [
                f"{number(row.get(f'{k} distance before'), '.4f')} > {number(row.get(f'{k} distance after'), '.4f')}"
                for k in ("redact", "retain")
            ]
            lines.append(
                f"{name:<31} {row['precision']:<11} {number(row.get('ms a step'), '10.2f'):>10} "
                f"{number(row.get('of fp32'), '8.2f'):>8} {number(row.get('peak bytes'), '8.0f', 2**20):>8} "
                f"{number(row.get('seconds'), '8.1f'):>8}  {gaps[0]:<17} {gaps[1]:<17} {row.get('failed', '')}"
            )
    lines += [
        "",
        "step at real size               precision    ms a step  passes  of fp32  peak GiB  TFLOP a step  TFLOP/s  of matrix rate",
    ]
    for name in ("size prompt", "size voice"):
        for row in parts.get(name, {}).get("rows", []):
            lines.append(
                f"{row['encoder'] + ', ' + row['student'] + ', ' + str(row['batch']):<31} {row['precision']:<11} "
                f"{number(row.get('seconds'), '10.2f', 1e-3):>10} {number(row.get('bare'), '7.2f', 1e-3):>7} "
                f"{number(row.get('of fp32'), '7.2f'):>7} "
                f"{number(row.get('peak'), '9.2f', 2**30):>9} {number(row.get('flops'), '13.3f', 1e12):>13} "
                f"{number(row.get('rate'), '8.1f', 1e12):>8} {number(row.get('share'), '14.1%'):>14} {row.get('failed', '')}"
            )
    lines += profiles(found)
    for row in parts.get("tests", {}).get("rows", []):
        lines += ["", "gpu-marked tests: " + ", ".join(f"{key} {value}" for key, value in row.items())]
    if parts.get("demo", {}).get("rows"):
        lines += [
            "",
            f"demo     group             metric                    base redacted  interval        n   ({found['demo n']})",
        ]
    for r in parts.get("demo", {}).get("rows", []):
        span = f"[{number(r['low'], '.2f')}, {number(r['high'], '.2f')}]"
        lines.append(
            f"{r['task']:<8} {r['group']:<17} {r['metric']:<23} {number(r['base'], '6.2f')} {number(r['redacted'], '8.2f')}  {span:<14} {r['n']:>3}"
        )
    lines += [""] + [f"FAILED {name}: {part['failed']}" for name, part in parts.items() if "failed" in part]
    return lines


def profiles(found: dict) -> list[str]:
    """What a step spends its time on, as the parts printed it."""
    return [line for name in ("size prompt", "size voice") for line in found["profiles"].get(name, [])]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", choices=tuple(LIMITS), default=list(LIMITS))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, default=570, help="that all parts may take together")
    parser.add_argument("--short", action="store_true", help="few steps and samples, to rehearse")
    parser.add_argument("--part", choices=tuple(LIMITS), help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        run_part(args.part, args)
        return
    import torch

    began = time.perf_counter()
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("gpu_check: torch sees no GPU; rehearse with --device cpu --short.")
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    args.work = Path(tempfile.mkdtemp(prefix="gpu_check_"))
    found = {
        "device": torch.cuda.get_device_name() if args.device == "cuda" else "CPU",
        "torch": torch.__version__,
        "fp32": f"precision {torch.get_float32_matmul_precision()}, TF32 in cuBLAS "
        + ("on" if torch.backends.cuda.matmul.allow_tf32 else "off")
        + ", override " + os.environ.get("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "unset"),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "demo n": "32 pictures and 20 utterances of a group" if not args.short else "a rehearsal: nothing to read from it",
        "parts": {},
        "profiles": {},
    }  # fmt: skip

    def keep(name: str, part: dict) -> None:
        found["parts"][name] = part
        said = (args.work / f"{name}.log").read_text(errors="replace").splitlines()
        marks = ("profile of a step", "    GPU ", "    CPU ")
        found["profiles"][name] = [f"{name}, plain, 64, bf16: {x}" for x in said if x.startswith(marks)]
        lines = "\n".join(table(found))
        (args.out / "gpu_check.json").write_text(
            json.dumps(found, indent=1, allow_nan=False), encoding="utf-8"
        )
        (args.out / "gpu_check.txt").write_text(lines + "\n", encoding="utf-8")
        with (args.out / "gpu_check.log").open("a", encoding="utf-8") as file:
            file.write(f"== {name}\n" + (args.work / f"{name}.log").read_text(errors="replace") + "\n")

    (args.out / "gpu_check.log").unlink(missing_ok=True)
    beside = [name for name in args.parts if name in ("tests", "demo")]
    for name in args.parts:
        if name not in beside:
            keep(name, started(name, args, began))
    with ThreadPoolExecutor(2) as pool:
        for name, part in [(name, pool.submit(started, name, args, began)) for name in beside]:
            keep(name, part.result())
    print("\n".join(table(found)))
    print(f"All of it took {time.perf_counter() - began:.0f} s. See {args.out / 'gpu_check.json'}")
    shutil.rmtree(args.work, ignore_errors=True)
    if any(
        "failed" in part or any("failed" in row for row in part["rows"]) for part in found["parts"].values()
    ):
        sys.exit(1)


if __name__ == "__main__":
    main()
