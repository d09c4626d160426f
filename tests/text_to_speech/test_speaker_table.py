"""A table of voices, redacted by copying rows: what changes, what must not, and what is said."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_vits import NAMES
from tiny_vits import tiny_vits as write_tiny_vits
from transformers import VitsModel, VitsTokenizer

from lightning_modules.cli import main as cli
from modalities.text_to_speech.adapters.speaker_table import SpeakerTable
from redact_core import Lesson, Mean, RedactError, RedactionCard, Request, redact
from redact_core.adapters.capabilities import SolvesExactly
from redact_core.adapters.contract import ToyAdapter, check_adapter
from redact_core.evaluation.summary import read_summary
from redact_core.support.folders import hashes

TABLE, WEIGHTS = "embed_speaker.weight", "model.safetensors"


@pytest.fixture(scope="session")
def tiny_vits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``VitsModel`` of five random voices in half precision; do not write into it."""
    return write_tiny_vits(tmp_path_factory.mktemp("base") / "tiny_vits")


@pytest.fixture
def folder(tiny_vits: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_vits, tmp_path / "base"))


def table(folder: Path | str, **options) -> SpeakerTable:
    return SpeakerTable(str(folder), text="the cat", **options)


def redacted(model: SpeakerTable, out: Path, *redact: str, references: tuple[str, ...] = ()) -> Path:
    assert model.solve(model.expand(Request(redact, references)))
    out.mkdir()
    model.save(out)
    return out


def edit(path: Path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def names(folder: Path) -> dict[str, int]:
    return json.loads((folder / "speaker_ids.json").read_text())


def test_contract(tiny_vits: Path) -> None:
    check_adapter(table(tiny_vits), ["alice", "bob", "4"])


def test_speaks_as_the_original_and_by_its_own_seed(tiny_vits: Path) -> None:
    model = SpeakerTable(str(tiny_vits), text=["the cat", "a dog sat"])
    plain = VitsModel.from_pretrained(tiny_vits, dtype=torch.float32).eval()
    ids = VitsTokenizer.from_pretrained(tiny_vits)("a dog sat", return_tensors="pt")["input_ids"]
    torch.manual_seed(7)
    with torch.no_grad():
        expected = plain(input_ids=ids, speaker_id=3).waveform[0]
    before = torch.get_rng_state()
    among = model.generate(["alice", "dave", "3"], seeds=[4, 7, 7])
    torch.testing.assert_close(among[1], expected)
    torch.testing.assert_close(among[2], expected)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(model.generate(["alice"], seeds=[7])[0], expected)


def test_writes_a_wave_file_at_the_models_rate(tiny_vits: Path, tmp_path: Path) -> None:
    model = table(tiny_vits)
    sample = model.generate(["bob"], seeds=[0])[0]
    path = model.write_sample(sample, tmp_path / "bob")
    samples, rate = soundfile.read(path, dtype="float32")
    assert (path.name, rate) == ("bob.wav", 8000)
    torch.testing.assert_close(torch.from_numpy(samples), sample, atol=2e-4, rtol=0)


def test_only_the_redacted_row_changes(folder: Path, tmp_path: Path) -> None:
    (folder / "notes.txt").write_text("kept")
    (folder / "samples").mkdir()
    (folder / "samples" / "a.wav").write_bytes(b"sound")
    before = load_file(folder / WEIGHTS)
    save_file(before, folder / WEIGHTS, metadata={"format": "pt", "note": "kept"})
    out = redacted(table(folder), tmp_path / "out", "alice", references=("bob",))
    old, new = hashes(folder), hashes(out)
    assert set(old) == set(new)
    assert {name for name in old if old[name] != new[name]} == {WEIGHTS, "speaker_ids.json"}
    after = load_file(out / WEIGHTS)
    with safe_open(folder / WEIGHTS, "pt") as a, safe_open(out / WEIGHTS, "pt") as b:
        assert list(a.keys()) == list(b.keys())
        assert a.metadata() == b.metadata() == {"format": "pt", "note": "kept"}
    for name, value in before.items():
        assert after[name].dtype == value.dtype == torch.float16
        if name != TABLE:
            assert torch.equal(after[name].view(torch.int16), value.view(torch.int16))
    bits, stock = after[TABLE].view(torch.int16), before[TABLE].view(torch.int16)
    assert torch.equal(bits[1:], stock[1:])
    assert torch.equal(bits[0], stock[1])
    assert not torch.equal(stock[0], stock[1])
    assert names(out) == {name: i for name, i in NAMES.items() if name != "alice"}


def test_the_mean_of_the_retained_is_the_default(folder: Path, tmp_path: Path) -> None:
    model = table(folder)
    lessons = model.expand(Request(("alice", "4")))
    assert lessons == [
        Lesson.redact("alice", Mean(("bob", "carol", "dave"))),
        Lesson.redact("erin", Mean(("bob", "carol", "dave"))),
        *map(Lesson.retain, ("bob", "carol", "dave")),
    ]
    assert lessons == model.expand(Request(("alice", "4"), ("mean",)))
    out = redacted(model, tmp_path / "out", "alice", "4")
    before, after = load_file(folder / WEIGHTS)[TABLE], load_file(out / WEIGHTS)[TABLE]
    mean = before[1:4].float().mean(0).half()
    assert torch.equal(after, torch.stack([mean, *before[1:4], mean]))
    assert torch.equal(model.encoder(model.collate(["alice"])).hidden[0, 0], mean.float())
    assert names(out) == {"bob": 1, "carol": 2, "dave": 3}


def test_several_references_are_read_before_anything_is_written(folder: Path, tmp_path: Path) -> None:
    out = redacted(table(folder), tmp_path / "out", "alice", "bob", references=("carol", "dave"))
    before, after = load_file(folder / WEIGHTS)[TABLE], load_file(out / WEIGHTS)[TABLE]
    assert torch.equal(after, before[[2, 3, 2, 3, 4]])


def test_the_copy_speaks_with_the_references_voice(folder: Path, tmp_path: Path) -> None:
    base = table(folder)
    alice, bob = base.generate(["alice", "bob"], seeds=[5, 5])
    out = redacted(base, tmp_path / "out", "alice", references=("bob",))
    assert torch.equal(base.generate(["alice"], seeds=[5])[0], bob)
    plain = VitsModel.from_pretrained(out, dtype=torch.float32).eval()
    ids = VitsTokenizer.from_pretrained(out)("the cat", return_tensors="pt")["input_ids"]
    spoken = []
    for speaker in (0, 1):
        torch.manual_seed(5)
        with torch.no_grad():
            spoken.append(plain(input_ids=ids, speaker_id=speaker).waveform[0])
    torch.testing.assert_close(spoken, [bob, bob])  # of another file, whose weights lie elsewhere in memory
    assert not torch.equal(alice, bob)
    again = table(out)
    torch.testing.assert_close(again.generate(["0"], seeds=[5])[0], bob)
    assert again.expand(Request(("bob",)))[0].answer == Mean(("carol", "dave", "erin"))
    with pytest.raises(RedactError, match='There is no such speaker: "alice"'):
        again.collate(["alice"])


def test_an_untouched_table_is_saved_bit_by_bit(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    table(folder).save(tmp_path / "out")
    assert hashes(tmp_path / "out") == hashes(folder)


def test_stock_tables_in_other_formats_are_left_out(folder: Path, tmp_path: Path) -> None:
    stray = ("pytorch_model.bin", "model.fp16.safetensors", "G_0.pth", "onnx/model.onnx", ".git/lfs/model")
    for name in stray:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"stock")
    out = redacted(table(folder), tmp_path / "out", "alice")
    assert set(hashes(folder)) - set(hashes(out)) == set(stray)


def test_split_weights_change_in_the_part_with_the_table(folder: Path, tmp_path: Path) -> None:
    parts = {"model-00001-of-00002.safetensors": {}, "model-00002-of-00002.safetensors": {}}
    for name, value in load_file(folder / WEIGHTS).items():
        parts[sorted(parts)[name == TABLE]][name] = value
    for name, values in parts.items():
        save_file(values, folder / name, metadata={"format": "pt"})
    (folder / WEIGHTS).unlink()
    index = {"metadata": {}, "weight_map": {key: name for name, values in parts.items() for key in values}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    model = table(folder)
    bob = model.generate(["bob"], seeds=[1])[0]
    out = redacted(model, tmp_path / "out", "alice", references=("bob",))
    before, after = hashes(folder), hashes(out)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"model-00002-of-00002.safetensors", "speaker_ids.json"}
    torch.testing.assert_close(table(out).generate(["0"], seeds=[1])[0], bob)
    (folder / "model-00001-of-00002.safetensors").unlink()
    with pytest.raises(RedactError, match=r"model-00001-of-00002\.safetensors is missing; .* fetch it again"):
        table(folder)


def test_names_in_the_configuration(folder: Path, tmp_path: Path) -> None:
    (folder / "speaker_ids.json").unlink()
    for key in ("speaker_ids", "speaker_map"):
        path = folder / "config.json"
        stock = json.loads(path.read_text())
        edit(path, **{key: NAMES})
        out = redacted(table(folder), tmp_path / key, "alice", references=("bob",))
        kept = {name: i for name, i in NAMES.items() if name != "alice"}
        assert json.loads((out / "config.json").read_text()) == stock | {key: kept}
        assert set(hashes(out)) == set(hashes(folder))
        assert VitsModel.from_pretrained(out).config.num_speakers == 5
        path.write_text(json.dumps(stock))


def test_names_in_another_file_come_first_and_leave_every_map(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "names.json"
    elsewhere.write_text(json.dumps({"anna": 0, "Anna": 0, "ben": 1, "cleo": 2}))
    edit(folder / "config.json", speaker_ids=NAMES)
    model = table(folder, names=elsewhere)
    lessons = model.expand(Request(("Anna",)))
    assert lessons == [Lesson.redact("anna", Mean(("ben", "cleo"))), *map(Lesson.retain, ("ben", "cleo"))]
    out = redacted(model, tmp_path / "out", "Anna")
    assert names(out) == {"ben": 1, "cleo": 2}
    assert "alice" not in json.loads((out / "config.json").read_text())["speaker_ids"]
    assert json.loads(elsewhere.read_text())["anna"] == 0
    inside = folder / "maps" / "names.json"
    inside.parent.mkdir()
    shutil.copy(elsewhere, inside)
    out = redacted(table(folder, names=Path("maps/names.json")), tmp_path / "second", "ben", "4")
    assert json.loads((out / "maps" / "names.json").read_text()) == {"anna": 0, "Anna": 0, "cleo": 2}
    assert names(out) == {"alice": 0, "carol": 2, "dave": 3}


def test_ids_are_the_names_where_there_are_none(folder: Path, tmp_path: Path) -> None:
    (folder / "speaker_ids.json").unlink()
    out = redacted(table(folder), tmp_path / "out", "3", references=("0",))
    before, after = load_file(folder / WEIGHTS)[TABLE], load_file(out / WEIGHTS)[TABLE]
    assert torch.equal(after, before[[0, 1, 2, 0, 4]])
    assert set(hashes(out)) == set(hashes(folder))


def test_unknown_speakers_are_one_line_with_those_that_are_close(tiny_vits: Path) -> None:
    with pytest.raises(RedactError) as error:
        table(tiny_vits).collate(["Alicia", "bob", "7", "-1"])
    assert str(error.value) == (
        'There is no such speaker: "Alicia" (did you mean alice? ids go from 0 to 4); '
        '"7" (the first ones are alice, bob, carol; ids go from 0 to 4); '
        '"-1" (the first ones are alice, bob, carol; ids go from 0 to 4)'
    )


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(("zed",)), 'There is no such speaker: "zed"'),
        (Request(("alice",), ("bobb",)), r'There is no such speaker: "bobb" \(did you mean bob\?'),
        (Request(tuple(NAMES)), "Every speaker of .* is redacted; leave at least one"),
        (Request(("alice",), ("bob", "dave")), "1 redactions but 2 references; give one for all"),
        (Request(("alice",), retain=("bob",)), "Every speaker that is not redacted is kept; leave out"),
    ],
)
def test_requests_that_cannot_be_met(tiny_vits: Path, request_: Request, message: str) -> None:
    with pytest.raises(RedactError, match=message):
        table(tiny_vits).expand(request_)


@pytest.mark.parametrize(
    ("lessons", "message"),
    [
        ([Lesson.redact("alice", "bob"), Lesson.retain("0")], '"alice" is both redacted and retained'),
        ([Lesson.redact("alice", "0")], '"alice" is redacted but is its own reference'),
        ([Lesson.redact("alice", "bob"), Lesson.redact("0", "dave")], '"alice" has two references'),
        ([Lesson.redact("alice", "1"), Lesson.redact("bob", "dave")], 'the reference "bob" is itself redact'),
        ([Lesson.redact("alice", Mean(("bob", "zed")))], 'There is no such speaker: "zed"'),
    ],
)
def test_a_name_and_its_id_are_one_speaker(tiny_vits: Path, lessons: list[Lesson], message: str) -> None:
    model = table(tiny_vits)
    before = model.encoder.embed_speaker.weight.clone()
    with pytest.raises(RedactError, match=message):
        model.solve(lessons)
    assert torch.equal(model.encoder.embed_speaker.weight, before)


def test_what_cannot_be_solved_is_left_to_training(tiny_vits: Path, tmp_path: Path) -> None:
    model = table(tiny_vits)
    assert not model.solve([Lesson.redact("alice", "bob"), Lesson("carol", "dave", False)])
    model.encoder = torch.nn.Identity()
    assert not model.solve([Lesson.redact("alice", "bob")])
    with pytest.raises(RedactError, match="A Identity cannot be saved as a table of speakers"):
        model.save(tmp_path)
    assert ToyAdapter().offers(SolvesExactly) is None


def _pickle_only(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")


def _without_table(folder: Path) -> None:
    values = load_file(folder / WEIGHTS)
    del values[TABLE]
    save_file(values, folder / WEIGHTS)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_pickle_only, r"pytorch_model.bin is a pickled weight file.*; convert it to safetensors first"),
        (
            lambda f: (f / WEIGHTS).unlink(),
            r"holds no model.safetensors; other kinds .* not read, convert them or fetch",
        ),
        (lambda f: (f / WEIGHTS).write_bytes(b"cut"), "is no readable safetensors file .* fetch it again"),
        (_without_table, "holds no embed_speaker.weight; it is no multi-speaker VitsModel"),
        (
            lambda f: edit(f / "config.json", num_speakers=6),
            r"has the shape \(5, 6\), config.json says num_sp",
        ),
        (
            lambda f: edit(f / "config.json", num_speakers=1),
            r"has no table of speakers \(num_speakers is 1\); give a VitsModel with several speakers",
        ),
        (
            lambda f: edit(f / "config.json", architectures=["SpeechT5ForTextToSpeech"]),
            "holds a SpeechT5ForTextToSpeech; this adapter takes a VitsModel",
        ),
        (lambda f: (f / "config.json").unlink(), "is no transformers folder: .* that from_pretrained reads"),
        (lambda f: (f / "config.json").write_text("{"), "is no transformers folder"),
        (
            lambda f: (f / "speaker_ids.json").write_text("[]"),
            r'speaker_ids.json is no map of names; write it as \{"alice": 0, "bob": 1\}',
        ),
        (
            lambda f: edit(f / "speaker_ids.json", zed=5, yan="1"),
            'the table has 5 rows, ids go from 0 to 4: "zed" has the id 5; "yan" has the id \'1\'',
        ),
    ],
)
def test_wrong_folders_are_one_clear_line(folder: Path, damage, message: str) -> None:
    damage(folder)
    with pytest.raises(RedactError, match=message) as error:
        table(folder)
    assert "\n" not in str(error.value)


def test_wrong_arguments_are_one_clear_line(tiny_vits: Path, tmp_path: Path) -> None:
    with pytest.raises(RedactError, match=r"There is no folder .*nowhere; give the folder of a VitsModel or"):
        table(tmp_path / "nowhere")
    with pytest.raises(RedactError, match=r"is a file; give the folder that holds config\.json"):
        table(tiny_vits / "config.json")
    with pytest.raises(RedactError, match=r"could it be fetched from the hub .* or give a local folder"):
        table("nobody/no-such-model-anywhere")
    with pytest.raises(RedactError, match=r"There is no file .*none\.json; give a JSON file that maps names"):
        table(tiny_vits, names=Path("none.json"))
    for text in ("", []):
        with pytest.raises(RedactError, match="A text to speak is empty; give a sentence"):
            SpeakerTable(str(tiny_vits), text=text)
    with pytest.raises(RedactError, match=r'"123" has no letter that the tokenizer of .* knows; change it'):
        SpeakerTable(str(tiny_vits), text="123").generate(["bob"], seeds=[0])
    with pytest.raises(RedactError, match="1 conditions but 2 seeds; give one seed for each"):
        table(tiny_vits).generate(["bob"], seeds=[0, 1])


def test_what_speaking_needs_is_asked_for_then(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(folder / "tokenizer_config.json", phonemize=True)
    monkeypatch.setattr("transformers.models.vits.tokenization_vits.is_phonemizer_available", lambda: False)
    if "phonemizer" not in sys.modules:
        with pytest.raises(RedactError, match="needs the package phonemizer to read a text; install it"):
            table(folder).generate(["bob"], seeds=[0])
    (folder / "vocab.json").unlink()
    with pytest.raises(RedactError, match=r"holds no VitsTokenizer .* fetch it again"):
        table(folder).generate(["bob"], seeds=[0])


def fit(monkeypatch: pytest.MonkeyPatch, *arguments: object, verb: str = "fit") -> int:
    monkeypatch.setattr(sys, "argv", ["redact", verb, *map(str, arguments)])
    return cli.main()


def on(folder: Path, out: Path, *more: object) -> list[object]:
    source = ["--model.adapter", "SpeakerTable", "--model.adapter.source", folder]
    return [*source, "--data.redact", "alice", "--export.folder", out, "--trainer.accelerator", "cpu", *more]


def test_fit_has_nothing_to_train_and_exports(
    monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path, capsys, caplog
) -> None:
    out = tmp_path / "out"
    assert fit(monkeypatch, *on(folder, out, "--data.reference", "bob")) == 0
    said = caplog.text or capsys.readouterr().err  # who imported Lightning first decides which of them
    assert (
        said.count("There is nothing to train. The lessons were carried out exactly, without training.") == 1
    )
    assert f"Wrote {out}; 'redact card {out}' shows what was done." in said
    card = RedactionCard.read(out)
    assert card.verify(out) == []
    assert set(card.changed) == {"config.yaml", WEIGHTS, "speaker_ids.json"}
    assert card.base["kind"] == "VitsModel"
    assert card.request["lessons"] == [["alice", "bob"]]
    assert card.request["retained_lessons"] == 4
    assert card.method["steps"] == 0
    assert card.measures.pop("redact distance before") > 0
    assert card.measures == {
        "retain distance before": 0, "redact distance after": 0, "retain distance after": 0,
    }  # fmt: skip
    assert card.notes == ["The lessons were carried out exactly, without training."]
    assert card.notes[0] in (out / "README.md").read_text()
    assert torch.equal(load_file(out / WEIGHTS)[TABLE], load_file(folder / WEIGHTS)[TABLE][[1, 1, 2, 3, 4]])
    assert "alice" not in names(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "out"]
    assert fit(monkeypatch, out, verb="card") == 0
    assert f"All {len(card.files)} files match the card." in capsys.readouterr().out
    assert fit(monkeypatch, "-c", out / "config.yaml", "--export.folder", tmp_path / "again") == 0
    assert hashes(tmp_path / "again")[WEIGHTS] == hashes(out)[WEIGHTS]


def test_fit_refuses_in_one_line_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path, capsys
) -> None:
    (tmp_path / "there").mkdir()
    for arguments, message in (
        (on(folder, tmp_path / "out", "--data.reference", "alice"), '"alice" is redacted but is its own ref'),
        (on(folder, tmp_path / "out", "--data.redact", "alise"), "did you mean alice?"),
        (on(folder, tmp_path / "there"), "exists; nothing is overwritten"),
        (on(folder, tmp_path / "out", "--export.disclosure", "digest"), "Digests need a key"),
    ):
        assert fit(monkeypatch, *arguments) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("redact: ")]
        assert len(lines) == 1
        assert message in lines[0]
        assert "nothing to train" not in lines[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "there"]


def test_the_plan_of_a_table_and_the_reopened_copy(tiny_vits: Path, tmp_path: Path) -> None:
    model = SpeakerTable(str(tiny_vits), text=["the cat", "a dog"])
    plan = model.plan(Request(("alice",), ("bob",)), 4)
    groups = {
        g: {r.labels["voice"] for r in plan if r.group == g} for g in dict.fromkeys(r.group for r in plan)
    }
    assert list(groups) == ["redacted", "neighbours", "retained"]
    assert groups["redacted"] == {"alice"}
    assert groups["neighbours"] | groups["retained"] == {"carol", "dave", "erin"}
    assert len(plan) == 12
    for row in plan:
        assert row.redacted == (row.group == "redacted") == (row.labels.get("reference") == "bob")
        assert row.labels["sentence"] == ["the cat", "a dog"][row.seed % 2]
        assert row.labels["redacted voices"] == "alice"
    away = {r.labels["rank"]: float(r.labels["distance"]) for r in plan if not r.redacted}
    assert [away[str(k)] for k in (1, 2, 3)] == sorted(away.values())
    with pytest.raises(RedactError, match="No speaker is left beside the redacted ones"):
        model.plan(Request(("alice", "bob", "carol", "dave", "erin")), 2)
    # the copy forgot the name, the evaluation asks by it nevertheless
    out = redacted(table(tiny_vits), tmp_path / "out", "alice", references=("bob",))
    assert "alice" not in names(out)
    again = table(tiny_vits).reopen(out)
    stock = table(tiny_vits)
    (gone,), (kept,) = (again.generate([name], seeds=[3]) for name in ("alice", "carol"))
    torch.testing.assert_close(gone, stock.generate(["bob"], seeds=[3])[0])
    torch.testing.assert_close(kept, stock.generate(["carol"], seeds=[3])[0])
    assert again.texts == ["the cat"]


def test_evaluate_works_on_a_table(tiny_vits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = redacted(table(tiny_vits), tmp_path / "no_alice", "alice", references=("bob",))
    given = [
        "evaluate", "--base", "SpeakerTable", "--base.source", str(tiny_vits), "--base.text", "the cat sat on the mat",
        "--redacted", str(out), "--redact", "alice", "--reference", "bob", "--n", "4", "--out", str(tmp_path / "e"),
        "--scorers+=modalities.text_to_speech.metrics.base_voice_scorer.BaseVoiceScorer", "--trainer.accelerator", "cpu",
        "--trainer.enable_progress_bar", "false",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["redact", *given])
    assert cli.main() == 0
    rows = {r["group"]: r for r in read_summary(tmp_path / "e" / "summary.json")}
    assert rows["redacted"]["base"] == rows["retained"]["redacted"] == rows["neighbours"]["redacted"] == 1
    samples = [json.loads(line) for line in (tmp_path / "e" / "rows.jsonl").read_text().splitlines()]
    stock = {row["index"]: row["sha256"] for row in samples if row["model"] == "base"}
    for row in samples:
        if row["model"] == "no_alice":
            assert (row["sha256"] != stock[row["index"]]) == row["redacted"]
    costs = json.loads((tmp_path / "e" / "costs" / "models.json").read_text())
    assert costs["no_alice"]["changed"] == 6  # one row of six numbers
    assert costs["base"]["changed"] == 0


def test_a_speaker_of_a_table_is_redacted_and_saved(tiny_vits: Path, tmp_path: Path) -> None:
    model = SpeakerTable.from_pretrained(tiny_vits, text="the cat")
    with pytest.raises(RedactError, match="Nothing has been redacted"):
        model.save_pretrained(tmp_path / "out")
    result = redact(model, "alice", reference="bob")
    assert result.losses == {}
    assert "nothing to train" in repr(result)
    one, other = model(["alice", "bob"], seed=1).audios
    assert torch.equal(one.samples, other.samples)
    assert one.rate == 8000
    model.save_pretrained(tmp_path / "out")
    assert RedactionCard.read(tmp_path / "out").method["steps"] == 0
