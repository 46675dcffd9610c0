"""``voxid simulate fakes``: what it writes, that it goes on where it stopped, and what it refuses; synthesisers."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import voxid
from voxid.cli import main
from voxid.errors import ConfigError, InputError
from voxid.simulate.festival import VOICES as FESTIVAL_VOICES
from voxid.simulate.lyra import lyra_generator
from voxid.simulate.synthesisers import SYNTHESISERS, Sentence, read_sentences

VOICES = Path(voxid.__file__).parent / "data" / "voices"
QUICK = "rtisi,phase-random,splice-inserted,replay"


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings each of two people."""
    folder = tmp_path_factory.mktemp("speech")
    for name in ("ada", "bruno"):
        (folder / name).mkdir()
        for number in (1, 2):
            shutil.copy(VOICES / name / f"0{number}.opus", folder / name)
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any]:
    code = main(["simulate", "fakes", *(str(argument) for argument in arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with open(folder / "manifest.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_writes_audio_and_a_manifest_and_goes_on_where_it_stopped(
    speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every row tells its file's hash and source; after a loss only what is lost is made again, the same."""
    asked = ("--from", speech, "--out", tmp_path, "--generators", QUICK, "--per-utterance", 4, "--seconds", 1)
    code, told = run(capsys, *asked)
    assert (code, told["made"], told["kept"], told["left_out"]) == (0, 16, 0, {})
    rows = rows_of(tmp_path)
    assert len(rows) == 16
    assert {row["generator"] for row in rows} == set(QUICK.split(","))
    for row in rows:
        content = (tmp_path / row["path"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
        assert (speech / row["source"]).is_file()
        assert (row["label"], row["speaker"]) == ("spoof", row["source"].split("/")[0])
        assert soundfile.info(tmp_path / row["path"]).samplerate == 16_000
        if row["generator"] == "replay":
            facts = json.loads((tmp_path / row["path"]).with_suffix(".json").read_text(encoding="utf-8"))
            assert 0.1 <= facts["played"]["reverberation_s"] <= 0.8
    # A file is lost, and a crash cut the last line of the manifest off.
    (tmp_path / rows[3]["path"]).unlink()
    manifest = tmp_path / "manifest.csv"
    manifest.write_bytes(manifest.read_bytes()[:-40])
    code, told = run(capsys, *asked, "--processes", 1)
    assert (code, told["made"], told["kept"]) == (0, 2, 14)
    again = {row["path"]: row for row in rows_of(tmp_path)}
    assert again == {row["path"]: row for row in rows}


def test_another_seed_makes_other_fakes(
    speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The seed decides which generators are drawn and with what settings."""
    found = []
    for seed in (1, 2):
        out = tmp_path / str(seed)
        run(capsys, "--from", speech, "--out", out, "--generators", "rtisi", "--seconds", 0.5, "--seed", seed)
        found.append({row["sha256"] for row in rows_of(out)})
    assert len(found[0]) == 4
    assert not found[0] & found[1]


def test_what_cannot_be_used_is_left_out_and_told(
    speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A silent recording is counted by its error's code, the others are made."""
    folder = tmp_path / "speech"
    shutil.copytree(speech / "ada", folder / "ada")
    soundfile.write(folder / "ada" / "silence.wav", np.zeros(16_000), 16_000)
    (folder / "ada" / "torn.wav").write_bytes(b"RIFF")
    code, told = run(capsys, "--from", folder, "--out", tmp_path / "out", "--generators", "phase-zero")
    assert (code, told["made"]) == (0, 2)
    assert told["left_out"]["speech_to_fake_too_short"] == 1
    assert sum(told["left_out"].values()) == 2


def test_refuses_what_it_cannot_do(speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown names, a missing folder, synthesisers without text, a foreign manifest: each has its sentence."""
    out = tmp_path / "out"
    wrong = {
        "generator_unknown": ("--from", speech, "--out", out, "--generators", "deep-voice"),
        "speech_missing": ("--out", out, "--generators", "rtisi"),
        "sentences_needed": ("--out", out, "--generators", "espeak-ng"),
        "lyra_weights_missing": ("--from", speech, "--out", out, "--generators", "lyra", "--lyra", tmp_path),
    }
    for expected, arguments in wrong.items():
        assert run(capsys, *arguments)[1]["error"] == expected
    (tmp_path / "manifest.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    code, told = run(capsys, "--from", speech, "--out", tmp_path, "--generators", "rtisi")
    assert (code, told["error"]) == (4, "manifest_damaged")


def test_conversations_are_still_simulated_without_their_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``voxid simulate FOLDER`` and ``voxid simulate --out X FOLDER`` mean conversations."""
    nowhere = tmp_path / "nowhere"
    for arguments in ([nowhere, "--out", tmp_path], ["--out", tmp_path, nowhere]):
        assert main(["simulate", *(str(argument) for argument in arguments), "--json"]) == 2
        assert json.loads(capsys.readouterr().out)["message"] == (
            f"There is no folder {nowhere}; give one that holds a folder per speaker."
        )


def test_reads_sentences_with_and_without_language(tmp_path: Path) -> None:
    """English is what names no language; a wrong line is named by its number."""
    path = tmp_path / "texts.txt"
    path.write_text("Good morning.\n\nde\tGuten Morgen.\n", encoding="utf-8")
    assert read_sentences(path) == [Sentence("en", "Good morning."), Sentence("de", "Guten Morgen.")]
    path.write_text("Good morning.\ndeutsch\tGuten Morgen.\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2: expected two letters of language, a tab and a sentence"):
        read_sentences(path)


@pytest.mark.parametrize("name", SYNTHESISERS)
def test_a_synthesiser_speaks_or_says_what_to_install(name: str) -> None:
    """Where the program is there it speaks; where not, the sentence names Debian's package."""
    synthesiser = SYNTHESISERS[name]
    said = {"open-jtalk": ("ja", "はい"), "festival-clunits": ("ru", "да")}.get(name, ("en", "one two"))
    there = synthesiser.installed
    try:
        spoken = synthesiser.speak(Sentence(*said), np.random.default_rng(0))
    except ConfigError as error:
        assert error.code == "synthesiser_missing"
        assert "on Debian run: apt-get install " in error.message
        return
    assert there
    assert spoken.samples.size > 4_000
    assert np.abs(spoken.samples).max() > 0.01


def test_a_missing_program_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty path has no eSpeak NG; a language nobody speaks is refused."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(
        ConfigError, match=r"espeak-ng needs the program espeak-ng, .* apt-get install espeak-ng\."
    ):
        SYNTHESISERS["espeak-ng"].speak(Sentence("en", "hello"), np.random.default_rng(0))


def test_every_festival_kind_has_voices_for_its_languages() -> None:
    """What a synthesiser says it speaks, some voice speaks."""
    for name, synthesiser in SYNTHESISERS.items():
        if name.startswith("festival-"):
            kind = name.removeprefix("festival-")
            assert set(synthesiser.languages) == {v.language for v in FESTIVAL_VOICES if v.kind == kind}


def test_lyra_says_which_weights_are_missing(tmp_path: Path) -> None:
    """Weights are never part of voxid: the sentence names the files and where they come from."""
    with pytest.raises(ConfigError, match=r"holds no soundstream_encoder\.tflite, .* google/lyra"):
        lyra_generator(tmp_path)
