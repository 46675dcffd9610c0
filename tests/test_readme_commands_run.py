"""What the README shows is run: its commands, its Python, and the files it points to."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import soundfile

from voxid.audio import load
from voxid.cli import main
from voxid.cli.demo import VOICES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# The suite does not set up environments or run itself: of make's two targets, what `demo` runs is run here.
NOT_RUN = {"make test"}
STANDS_FOR = {"make demo": "voxid demo"}
# The sample voices are made by a synthesiser, and are found out.
ENDS_WITH = {"voxid spoof call.wav": 1}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files the README speaks of, made from the sample voices."""
    for name in ("VOXID_GALLERY", "VOXID_MASTER_KEY", "VOXID_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    for target, source in {
        "a1.wav": "ada/01.opus",
        "a2.wav": "ada/02.opus",
        "call.wav": "ada/04.opus",
        "meeting.wav": "meeting.opus",
    }.items():
        soundfile.write(tmp_path / target, load(VOICES / source).samples, 16_000)
    truth = (VOICES / "meeting.rttm").read_text(encoding="ascii")
    (tmp_path / "truth.rttm").write_text(truth, encoding="ascii")
    utterances = [f"{name}/0{number}.opus" for name in ("ada", "bruno", "clara") for number in (1, 2)]
    trials = [
        f"{int(one.split('/')[0] == other.split('/')[0])} {one} {other}\n"
        for at, one in enumerate(utterances)
        for other in utterances[at + 1 :]
    ]
    (tmp_path / "trials.txt").write_text("".join(trials), encoding="ascii")
    (tmp_path / "wav").symlink_to(VOICES)
    (tmp_path / "protocol.csv").write_text(
        "path,label,generator\na,genuine,\nb,spoof,WORLD\n", encoding="ascii"
    )
    (tmp_path / "scores.txt").write_text("a 1.5\nb -0.5\n", encoding="ascii")
    return tmp_path


def test_commands_run(recordings: Path) -> None:
    """Every line of every shell block, in order, in one folder; all of them do what they say."""
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.strip()]
    assert len(lines) >= 6
    for line in lines:
        if line in NOT_RUN:
            continue
        program, *arguments = shlex.split(STANDS_FOR.get(line, line))
        assert program == "voxid", f"{line}: this test knows only voxid commands"
        assert main(arguments) == ENDS_WITH.get(line, 0), line
    for name in ("meeting.html", "meeting.rttm", "voxid-demo/meeting.svg", "voxid-demo/meeting.html"):
        assert (recordings / name).stat().st_size > 0


def test_python_runs(recordings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The Python blocks run as they stand, in under ten lines each."""
    assert blocks("python")
    for block in blocks("python"):
        assert len([line for line in block.splitlines() if line.strip()]) < 10
        exec(compile(block, "README.md", "exec"), {})
    assert "it is alice" in capsys.readouterr().out
    assert (recordings / "meeting.rttm").read_text(encoding="utf-8").startswith("SPEAKER")


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "docs/architecture.md",
        "docs/evaluation.md",
        "docs/glossary.md",
        "docs/output.md",
        "CHANGELOG.md",
    ],
)
def test_links_lead_somewhere(document: str) -> None:
    """Every relative link and picture is a file of the repository."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert ((ROOT / document).parent / target).exists(), target
