"""Who may import whom, what is public, and that the commands exist."""

import importlib.util
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from lightning_modules.cli import main as cli
from lightning_modules.support import names
from redact_core import RedactError, __version__

ROOT = Path(__file__).parents[2]

ONLY_TORCH = """
import sys
import torch
known = set(sys.modules) | {name.partition(".")[0] for name in sys.modules}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in known or top == "redact_core":
            return None
        raise AssertionError(f"redact_core imports {name}")
sys.meta_path.insert(0, Refuse())
import importlib, pkgutil
import redact_core
reporting = []
for module in pkgutil.walk_packages(redact_core.__path__, "redact_core."):
    if module.name.startswith("redact_core.reporting."):
        reporting.append(module.name)
    else:
        importlib.import_module(module.name)
bad = [n for n in ("numpy", "yaml", "lightning", "diffusers", "transformers", "matplotlib") if n in sys.modules and n not in known]
assert not bad, bad
refuse = sys.meta_path.pop(0)
import matplotlib.backends.backend_svg, matplotlib.figure  # and what they import
known |= {name.partition(".")[0] for name in sys.modules}
sys.meta_path.insert(0, refuse)
assert len(reporting) > 10
for name in reporting:
    importlib.import_module(name)
bad = [n for n in ("yaml", "lightning", "diffusers", "transformers") if n in sys.modules and n not in known]
assert not bad, bad
"""


def test_the_core_needs_torch_and_the_standard_library_only_and_its_report_matplotlib() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ONLY_TORCH], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr


def test_short_names_are_found_without_importing() -> None:
    known = names.classes()
    assert known["StableDiffusion"] == "modalities.text_to_image.adapters.stable_diffusion"
    assert known["Distillation"] == "redact_core.objectives.distillation"


def test_commands_are_installed() -> None:
    scripts = {e.name: e.value for e in entry_points(group="console_scripts")}
    assert scripts["redact"] == "lightning_modules.cli.main:main"
    assert scripts["lightning"] == "lightning_modules.cli.main:lightning_main"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, program: str = "redact") -> int:
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    return cli.main(program)


def test_help_names_every_verb(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--help") == 0
    out = capsys.readouterr().out
    assert all(f"\n  {verb} " in out for verb in cli._VERBS)


def test_the_version_and_help_by_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"redact {__version__}\n"
    assert run(monkeypatch, "help") == 0
    assert "usage: redact VERB" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, "help", "card")
    assert ended.value.code == 0
    assert "usage: redact card" in capsys.readouterr().out


def test_kinds_go_by_the_words_of_the_documentation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "ls", "methods") == 0
    out = capsys.readouterr().out
    assert run(monkeypatch, "ls", "objectives") == 0
    assert capsys.readouterr().out == out
    assert "Distillation" in out


def test_an_unknown_verb_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "fitt") == 2
    error = capsys.readouterr().err
    assert (
        error
        == "redact: There is no verb 'fitt', did you mean fit; the verbs are fit, evaluate, attack, compare, score, report, card, verify, export, inspect, app, demo, ls, completion.\n"
    )


def test_a_package_that_shadows_ours_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "modalities").mkdir()
    (tmp_path / "modalities" / "__init__.py").write_text("")
    real = names.folder_of

    def folder_of(package: str) -> Path:
        return tmp_path / package if package == "modalities" else real(package)

    monkeypatch.setattr(cli, "folder_of", folder_of)
    with pytest.raises(RedactError, match="shadows the package modalities"):
        cli._check_siblings()


def test_lightning_hands_other_verbs_to_lightning_sdk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a stand-in distribution that has the real one's name and entry point."""
    info = tmp_path / "lightning_sdk-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lightning_sdk\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[console_scripts]\nlightning = stand_in_sdk:main\n")
    (tmp_path / "stand_in_sdk.py").write_text(
        "import sys\ndef main():\n    print('sdk', sys.argv[1:])\n    return 7\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run(monkeypatch, "login", "--now", program="lightning") == 7
    assert capsys.readouterr().out == "sdk ['login', '--now']\n"


def test_lightning_without_lightning_sdk_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "login", program="lightning") == 2
    assert "lightning_sdk, which is not installed" in capsys.readouterr().err


def test_ls_lists_what_can_be_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "ls") == 0
    out = capsys.readouterr().out
    assert "modalities.text_to_image.adapters.stable_diffusion\n" in out
    assert out.index("Adapters: models") < out.index("  StableDiffusion ") < out.index("Objectives: methods")
    assert out.index("  Distillation ") < out.index("Attacks: ways")
    assert "ToyAdapter" not in out


@pytest.mark.parametrize("kind", ["attacks", "attack", "Attacks"])
def test_ls_lists_one_kind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    assert run(monkeypatch, "ls", kind) == 0
    out = capsys.readouterr().out
    assert out.startswith("Attacks: ways to bring back")
    assert "  GreedyCoordinate " in out
    assert "StableDiffusion " not in out


def test_ls_names_the_kinds(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "ls", "atacks") == 2
    assert (
        "There is no kind 'atacks' to list, did you mean attacks; the kinds are adapters, objectives, attacks"
        in capsys.readouterr().err
    )


def test_only_the_shipped_weights_are_large() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    large = [path for path in files if path.exists() and path.stat().st_size > 250_000]
    assert all(path.suffix in {".safetensors", ".ckpt"} and "bundled" in path.parts for path in large), large


def test_no_module_leads_back_to_itself(tmp_path: Path) -> None:
    """Imports inside functions count as well, those for types alone do not."""
    spec = importlib.util.spec_from_file_location("structure", ROOT / "scripts" / "tools" / "structure.py")
    assert spec is not None
    assert spec.loader is not None
    structure = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(structure)
    assert structure.circles(structure.graph(structure.modules(ROOT))) == []

    package = tmp_path / "redact_core"
    package.mkdir()
    (package / "__init__.py").write_text("from redact_core import a\n")
    (package / "a.py").write_text("from redact_core import b\n")
    (package / "b.py").write_text("def f():\n    from redact_core.a import g\n")
    (package / "c.py").write_text("if TYPE_CHECKING:\n    from redact_core import d\n")
    (package / "d.py").write_text("import redact_core.c\n")
    found = structure.circles(structure.graph(structure.modules(tmp_path)))
    assert found == [["redact_core.a", "redact_core.b"]]
