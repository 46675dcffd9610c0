"""The command line on bad input: a code and a sentence, the designed exit code, nothing written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.main import get_command

from voxid.bundle import Bundle
from voxid.cli import main
from voxid.cli.app import EXIT_DEFECT, app
from voxid.cli.demo import VOICES
from voxid.cli.options import choose_bundle
from voxid.cli.output import exit_code_of
from voxid.decision import IDENTIFY_PROFILE, Outcome
from voxid.gallery import Consent
from voxid.recognize import Gallery

CONSENT = ["--consent", "signed form 17", "--purpose", "verify,identify,diarize-name"]
Run = Callable[..., tuple[int, dict[str, Any]]]


def commands(command: Any, name: str = "") -> Iterator[str]:
    """Yield what stands after ``voxid`` for every command there is."""
    if not hasattr(command, "commands"):
        yield name
        return
    for word, below in sorted(command.commands.items()):
        yield from commands(below, f"{name} {word}".strip())


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in an empty folder, untouched by the keys of whoever runs it."""
    for name in ("VOXID_GALLERY", "VOXID_MASTER_KEY", "VOXID_KEY_FILE", "VOXID_EXPORT_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command with --json and return its exit code and its one JSON object."""

    def run_json(*arguments: object) -> tuple[int, dict[str, Any]]:
        code = main([*(str(argument) for argument in arguments), "--json"])
        told = capsys.readouterr()
        return code, json.loads(told.out)

    return run_json


@pytest.fixture(scope="module")
def ada_enrolled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a gallery that holds Ada, made once."""
    folder = tmp_path_factory.mktemp("ada")
    with Gallery.open(folder / "people.voxid", bundle=chosen_bundle()) as gallery:
        recordings = [VOICES / "ada" / f"0{number}.opus" for number in (1, 2, 3)]
        gallery.enroll("ada", recordings, Consent({"verify", "identify", "diarize-name"}, "signed form 17"))
    return folder


@pytest.fixture
def enrolled(ada_enrolled: Path, tmp_path: Path) -> None:
    """That gallery and its key, here."""
    for file in ada_enrolled.iterdir():
        shutil.copy(file, tmp_path / file.name)


def chosen_bundle() -> Bundle:
    return choose_bundle(Path(os.environ["VOXID_BUNDLE"]) if "VOXID_BUNDLE" in os.environ else None)


def write_silence(path: Path) -> None:
    soundfile.write(path, np.zeros(48_000, np.float32), 16_000)


def write_nan(path: Path) -> None:
    samples = np.full(48_000, np.nan, np.float32)
    soundfile.write(path, samples, 16_000, subtype="FLOAT")


def write_text(path: Path) -> None:
    path.write_text("this is a letter, not a recording\n" * 50, encoding="utf-8")


def write_nothing(path: Path) -> None:
    path.write_bytes(b"")


BAD_AUDIO = {
    "silence": (write_silence, "no_speech"),
    "nan": (write_nan, "audio_not_finite"),
    "text": (write_text, "audio_unknown_format"),
    "empty": (write_nothing, "audio_empty"),
    "missing": (lambda path: None, "audio_missing"),
}
LISTENING = {
    "enroll": ["enroll", "eve", "{}", *CONSENT],
    "identify": ["identify", "{}"],
    "verify": ["verify", "ada", "{}"],
    "who": ["who", "{}", "--html", "out.html", "--rttm", "out.rttm"],
}


@pytest.mark.parametrize("kind", BAD_AUDIO)
@pytest.mark.parametrize("verb", LISTENING)
def test_bad_audio_is_refused(verb: str, kind: str, enrolled: None, run: Run) -> None:
    """Exit code 2, the code of what is wrong, a sentence that names the file, nothing written."""
    write, expected = BAD_AUDIO[kind]
    write(Path("bad.wav"))
    before = {path: path.stat().st_size for path in Path().iterdir()}
    code, told = run(*(part.format("bad.wav") for part in LISTENING[verb]))
    assert code == 2
    if verb == "verify" and kind == "silence":
        assert (told["outcome"], told["accepted"]) == ("not_enough_speech", False)
        assert told["score"] is None
        assert told["llr"] is None
    else:
        assert told["error"] == expected
        assert "bad" in told["message"]
        assert told["message"].endswith(".")
    assert {path: path.stat().st_size for path in Path().iterdir()} == before
    assert [person["name"] for person in run("people", "list")[1]["people"]] == ["ada"]


@pytest.mark.parametrize("kind", BAD_AUDIO)
def test_a_refused_first_enrollment_leaves_nothing(kind: str, run: Run) -> None:
    """No gallery and no key come into being."""
    BAD_AUDIO[kind][0](Path("bad.wav"))
    before = sorted(Path().iterdir())
    assert run("enroll", "eve", "bad.wav", *CONSENT)[0] == 2
    assert sorted(Path().iterdir()) == before


def test_no_consent_is_a_policy_refusal(run: Run) -> None:
    """Exit code 3 before the audio is opened: the file need not even exist."""
    code, told = run("enroll", "eve", "not-there.wav")
    assert (code, told["error"]) == (3, "consent_missing")
    assert told["message"].endswith('Give it here: --consent "signed form 17" --purpose verify,identify.')
    assert list(Path().iterdir()) == []


def test_half_a_consent_is_bad_input(run: Run) -> None:
    """Evidence without purposes does not silently cover everything."""
    code, told = run("enroll", "eve", "x.wav", "--consent", "form 17")
    assert (code, told["error"]) == (2, "consent_incomplete")
    assert "--purpose" in told["message"]


def test_an_opted_out_name_is_a_policy_refusal(run: Run) -> None:
    """Exit code 3, also for somebody never enrolled."""
    assert run("people", "opt-out", "eve", "--yes")[0] == 0
    code, told = run("enroll", "eve", VOICES / "ada" / "01.opus", *CONSENT)
    assert (code, told["error"]) == (3, "opted_out")


def test_right_and_wrong_voice(enrolled: None, run: Run) -> None:
    """0 for the person, 1 for anybody else and for the unknown."""
    code, told = run("verify", "ada", VOICES / "ada" / "04.opus")
    assert (code, told["outcome"], told["accepted"]) == (0, "accept", True)
    code, told = run("verify", "ada", VOICES / "bruno" / "04.opus")
    assert (code, told["outcome"]) == (1, "reject")
    assert run("identify", VOICES / "ada" / "05.opus")[1]["candidates"][0]["person"] == "ada"
    unknown = {"candidates": [], "profile": IDENTIFY_PROFILE}
    assert run("identify", VOICES / "stranger" / "05.opus") == (1, unknown)


def test_a_person_who_is_not_there(enrolled: None, run: Run) -> None:
    """Verify decides not_enrolled (1); managing people is bad input (2)."""
    code, told = run("verify", "zoe", VOICES / "ada" / "04.opus")
    assert (code, told["outcome"]) == (1, "not_enrolled")
    for command in (
        ["show", "zoe"],
        ["rename", "zoe", "ann"],
        ["delete", "zoe", "--yes"],
        ["merge", "ada", "zoe", "--yes"],
    ):
        code, told = run("people", *command)
        assert (code, told["error"]) == (2, "person_missing")
        assert "zoe" in told["message"]


@pytest.mark.parametrize("command", [["people", "list"], ["verify", "ada", "x.wav"], ["identify", "x.wav"]])
def test_no_gallery(command: list[str], run: Run) -> None:
    """Only enrolling, importing and opting out make a gallery."""
    code, told = run(*command)
    assert (code, told["error"]) == (2, "store_missing")
    assert list(Path().iterdir()) == []


def test_who_without_a_gallery_names_nobody(run: Run) -> None:
    """The default gallery may be missing; one that was asked for may not."""
    code, told = run("who", VOICES / "ada" / "01.opus")
    assert code == 0
    assert not any(turn["named"] for turn in told["turns"])
    code, told = run("who", VOICES / "ada" / "01.opus", "--gallery", "team.voxid")
    assert (code, told["error"]) == (2, "store_missing")


def test_a_missing_key(enrolled: None, run: Run) -> None:
    """Exit code 2, no new key, and everything is there again when the key is."""
    Path("people.voxid.key").rename("safe.key")
    for command in (["people", "list"], ["verify", "ada", VOICES / "ada" / "04.opus"]):
        code, told = run(*command)
        assert (code, told["error"]) == (2, "key_missing")
    assert not Path("people.voxid.key").exists()
    Path("safe.key").rename("people.voxid.key")
    assert run("people", "list")[0] == 0


def test_a_wrong_key(enrolled: None, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 4: another key opens nothing."""
    monkeypatch.setenv("VOXID_MASTER_KEY", "A" * 43 + "=")
    code, told = run("people", "list")
    assert (code, told["error"]) == (4, "key_wrong")


def test_flipped_bytes_in_the_gallery(enrolled: None, run: Run) -> None:
    """Damage is named with exit code 4; nobody is accepted and no wrong name comes out."""
    whole = Path("people.voxid").read_bytes()
    found = []
    for page in range(1, len(whole) // 4096):
        damaged = bytearray(whole)
        for at in range(page * 4096, (page + 1) * 4096, 7):
            damaged[at] ^= 0x5A
        Path("people.voxid").write_bytes(damaged)
        code, told = run("people", "check")
        found.append(code)
        assert code in (0, 4)
        if code == 4:
            assert told["kind"] == "StoreError"
            assert told["message"].endswith(".")
            answer, decision = run("verify", "ada", VOICES / "bruno" / "04.opus")
            assert answer != 0
            assert not decision.get("accepted", False)
    assert found.count(4) >= len(found) // 2


def test_a_changed_bundle(run: Run, tmp_path: Path) -> None:
    """Exit code 2 when one byte of the graph differs from the card's hash."""
    bundle = shutil.copytree(chosen_bundle().path, tmp_path / "bundle")
    graph = bytearray((bundle / "model.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (bundle / "model.onnx").write_bytes(graph)
    for command in (["models", "verify", bundle], ["identify", "x.wav", "--bundle", bundle]):
        code, told = run(*command)
        assert (code, told["error"]) == (2, "bundle_hash_mismatch")


def test_unwritable_output(run: Run) -> None:
    """A timeline that cannot be written is said to be so."""
    code, told = run("who", VOICES / "ada" / "01.opus", "--rttm", "no/such/folder/x.rttm")
    assert (code, told["error"]) == (2, "output_unwritable")


@pytest.mark.parametrize(
    "arguments",
    [
        ["verification", "--trials", "none.txt", "--audio-root", "."],
        ["identification", "--trials", "none.txt", "--audio-root", "."],
        ["diarization", "--reference", "none.rttm", "--hypothesis", "none.rttm"],
    ],
)
def test_evaluating_what_is_not_there(arguments: list[str], run: Run) -> None:
    """Exit code 2 and the file's name."""
    code, told = run("evaluate", *arguments)
    assert code == 2
    assert "none." in told["message"]


def test_a_recipe_that_is_not_there(run: Run) -> None:
    """Exit code 2, with torch or without."""
    code, told = run("train", "none.yaml")
    assert code == 2
    assert told["error"] in ("recipe_missing", "train_extra_missing")


def test_deleting_needs_a_yes(enrolled: None, run: Run) -> None:
    """Without a terminal nothing is deleted unless --yes says so."""
    code, told = run("people", "delete", "ada")
    assert (code, told["error"]) == (2, "confirmation_missing")
    assert run("people", "show", "ada")[0] == 0
    assert run("people", "delete", "ada", "--yes")[0] == 0
    assert run("people", "list")[1] == {"people": []}


def test_export_and_import_carry_people_over(enrolled: None, run: Run) -> None:
    """The score in the other gallery is the same; a wrong passphrase is refused."""
    Path("secret").write_text("correct horse battery staple\n", encoding="utf-8")
    Path("wrong").write_text("incorrect\n", encoding="utf-8")
    probe = VOICES / "ada" / "04.opus"
    assert run("people", "export", "all.export", "--passphrase-file", "secret")[0] == 0
    code, _ = run("people", "import", "all.export", "--passphrase-file", "wrong", "-g", "new.voxid")
    assert code == 2
    assert run("people", "import", "all.export", "--passphrase-file", "secret", "-g", "new.voxid")[0] == 0
    assert run("verify", "ada", probe)[1]["llr"] == run("verify", "ada", probe, "-g", "new.voxid")[1]["llr"]


def test_a_wrong_option_is_told_in_json(run: Run) -> None:
    """Also what the option parser refuses is one JSON object and exit code 2."""
    for arguments in (
        ["identify", "x.wav", "--top", "many"],
        ["who"],
        ["people", "lst"],
        ["verify", "a", "b", "--nope"],
    ):
        code, told = run(*arguments)
        assert (code, told["error"]) == (2, "usage")


def test_every_outcome_has_an_exit_code() -> None:
    """Only accept is 0."""
    assert {outcome for outcome in Outcome if exit_code_of(outcome) == 0} == {Outcome.ACCEPT}


def test_errors_for_people_are_one_sentence_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing on stdout, the code in brackets at the end."""
    assert main(["identify", "none.wav", "--gallery", "none.voxid"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert told.err.rstrip().endswith("[store_missing]")


def test_a_defect_of_ours_is_none_of_the_designed_codes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What we did not foresee must not look like a rejection."""

    def fail(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("for the test")

    monkeypatch.setattr("voxid.bundle.installed_bundles", fail)
    code, told = run("models", "list")
    assert (code, told["error"]) == (EXIT_DEFECT, "defect")


def test_the_module_runs_as_a_command() -> None:
    """``python -m voxid`` ends with the same exit codes, and says its version."""
    command = [sys.executable, "-m", "voxid"]
    options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 60, "env": os.environ}
    assert subprocess.run([*command, "--version"], check=False, **options).stdout.startswith("voxid 0.")
    assert subprocess.run([*command, "people", "list"], check=False, **options).returncode == 2


@pytest.mark.parametrize("command", list(commands(get_command(app))))
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--help has an example, and --json is everywhere."""
    assert main([*command.split(), "--help"]) == 0
    told = capsys.readouterr().out
    assert "Example" in told
    assert f"voxid {command}" in " ".join(told.split())
    assert "--json" in told


def test_bench_times_what_it_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--repetitions", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["repetitions"] == 3
    assert len(found["median_ms"]) == 5
    assert all(milliseconds > 0 for milliseconds in found["median_ms"].values())
