"""The Python of README and tutorials is run: ours with fewer steps and rows, that of other libraries as it stands."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from PIL import Image
from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

from modalities.text_to_image import StableDiffusion
from modalities.text_to_speech import SpeechT5

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
TEXT = "\n".join([README, *(page.read_text(encoding="utf-8") for page in TUTORIALS)])
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)
COMMANDS = re.findall(r"```bash\n(.*?)```", README, flags=re.S)
PACKAGES = ("redact_core", "modalities", "lightning_modules")
OURS = [block for block in BLOCKS if re.search(rf"^from ({'|'.join(PACKAGES)})", block, flags=re.M)]
OTHERS = [block for block in BLOCKS if block not in OURS]


@pytest.mark.parametrize("number", range(len(OURS)))
def test_our_python_runs(number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = re.sub(r"steps=\d+", "steps=2", OURS[number])
    # a call that leaves the number of steps to its default
    code = re.sub(r"(redact\(model, [^()]*)\)$", r"\1, steps=2)", code, flags=re.M)
    # fewer rows as well: most of the time goes into the teacher's answers to them
    code = re.sub(r'(StableDiffusion(?:\.from_pretrained)?\("bundled")\)', r"\1, per_name=1)", code)
    code = re.sub(r'(SpeechT5(?:\.from_pretrained)?\("bundled")\)', r"\1, variants=1)", code)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, f"README and tutorials, example {number + 1}", "exec"), {})


def as_a_reader(code: str, folder: Path) -> str:
    """What ``code`` prints, run as it stands in ``folder``, in a process that cannot import redact."""
    hide = f"import sys; sys.modules.update(dict.fromkeys({PACKAGES!r})); "
    run = "exec(compile(sys.stdin.read(), 'a page', 'exec'), {'__name__': '__main__'})"
    env = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "TRANSFORMERS_VERBOSITY")
    }
    done = subprocess.run(
        [sys.executable, "-c", hide + run], input=code, cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "accelerate" not in done.stderr
    return done.stdout + done.stderr


def check_picture(folder: Path) -> None:
    with Image.open(folder / "picture.png") as picture:
        assert picture.size == (64, 64)
        assert len(set(picture.convert("L").tobytes())) > 20, "flat"


def test_the_hidden_packages_cannot_be_imported(tmp_path: Path) -> None:
    code = "try:\n    import redact_core\nexcept ImportError:\n    print('hidden')"
    assert as_a_reader(code, tmp_path).strip() == "hidden"


def test_a_redacted_pipeline_draws_without_us(tmp_path: Path) -> None:
    (block,) = (block for block in OTHERS if "diffusers" in block)
    folder = tmp_path / "out" / "no_cigarette"
    folder.mkdir(parents=True)
    StableDiffusion("bundled").save(folder)
    as_a_reader(block, tmp_path)
    check_picture(tmp_path)


def test_a_redacted_speaker_encoder_is_spoken_with_without_us(tmp_path: Path) -> None:
    (block,) = (block for block in OTHERS if "speechbrain" in block)
    folder = tmp_path / "out" / "no_alice"
    folder.mkdir(parents=True)
    model = SpeechT5("bundled")
    model.save(folder)
    # folders with the hub's names stand in for the hub
    shutil.copytree(model.folder, tmp_path / "microsoft" / "speecht5_tts")
    sizes = SpeechT5HifiGanConfig(
        upsample_initial_channel=8,
        upsample_rates=[16, 16],
        upsample_kernel_sizes=[16, 16],
        normalize_before=False,
    )
    SpeechT5HifiGan(sizes).save_pretrained(tmp_path / "microsoft" / "speecht5_hifigan")
    clip, rate = soundfile.read(model.bank.voices["voice21"][0])
    (tmp_path / "voices" / "alice").mkdir(parents=True)
    soundfile.write(tmp_path / "voices" / "alice" / "1.wav", clip, rate)
    as_a_reader(block, tmp_path)
    wave, rate = soundfile.read(tmp_path / "wave.wav")
    assert rate == 16_000
    assert len(wave) > rate / 4
    assert wave.std() > 0


@pytest.mark.slow
def test_the_first_command_and_its_picture(tmp_path: Path) -> None:
    """To the letter, but for the entry point that an installation makes."""
    (command,) = (text for text in COMMANDS if text.startswith("redact fit") and "cigarette" in text)
    entry = "import sys; from lightning_modules.cli.main import main; sys.exit(main())"
    script = f"redact() {{ '{sys.executable}' -c '{entry}' \"$@\"; }}\n{command}"
    subprocess.run(
        ["bash", "-ec", script], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True
    )
    as_a_reader(next(block for block in OTHERS if "diffusers" in block), tmp_path)
    check_picture(tmp_path)


def test_the_readme_is_short() -> None:
    assert len(README.split()) <= 600
