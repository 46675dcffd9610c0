"""`voxid who` and `diarize` with other methods of clustering than the default."""

from __future__ import annotations

import dataclasses
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from voxid.bundle import default_bundle
from voxid.cli.app import app
from voxid.diarize import DiarizeOptions, SpeakerCount, diarize
from voxid.diarize.clustering import unit_rows
from voxid.diarize.turns import DrawnTurn
from voxid.diarize.windowed import EmbeddedWindows, Recording, embed_recording, find_speech, join_windows
from voxid.embedding import get_embedder
from voxid.errors import CompatibilityError
from voxid.plda import train_plda

MEETING = Path(str(files("voxid") / "data" / "voices" / "meeting.opus"))
THRESHOLD = 0.29


@pytest.fixture(scope="module")
def meeting() -> tuple[Recording, EmbeddedWindows]:
    """The sample meeting of the package, embedded once."""
    from voxid.audio import load

    recording = find_speech(load(MEETING))
    return recording, embed_recording(recording, get_embedder(default_bundle()), DiarizeOptions())


@pytest.mark.parametrize("method", ["ahc-centroid", "spectral", "nme-sc", "k-means"])
def test_every_method_draws_a_timeline(meeting: tuple[Recording, EmbeddedWindows], method: str) -> None:
    """Turns in order, and exactly as many speakers as asked for."""
    turns = join_windows(*meeting, SpeakerCount(3, 3), THRESHOLD, DiarizeOptions(clustering=method))
    assert {turn.speaker for turn in turns} == {0, 1, 2}
    starts = [turn.segment.start_s for turn in turns]
    assert starts == sorted(starts)


def test_bayesian_resegmentation_draws_the_turns(meeting: tuple[Recording, EmbeddedWindows]) -> None:
    """With a PLDA of the meeting's own voices, VB agrees with Viterbi on nine tenths of the speech."""
    recording, embedded = meeting
    count = SpeakerCount(3, 3)
    usual = join_windows(recording, embedded, count, THRESHOLD, DiarizeOptions())
    middle = embedded.windows.bounds.mean(axis=1) / 100
    speaker = np.array(
        [next((t.speaker for t in usual if t.segment.start_s <= at <= t.segment.end_s), -1) for at in middle]
    )
    plda = train_plda(unit_rows(embedded.embeddings[speaker >= 0]), speaker[speaker >= 0], dim=8)
    bayes = join_windows(recording, embedded, count, THRESHOLD, DiarizeOptions(resegmentation="vb"), plda)
    grid = np.arange(0, recording.waveform.duration_s, 0.05)

    def speaker_at(turns: list[DrawnTurn], at: float) -> int:
        return next((t.speaker for t in turns if t.segment.start_s <= at < t.segment.end_s), -1)

    same = np.mean([speaker_at(usual, at) == speaker_at(bayes, at) for at in grid])
    assert same > 0.9


@pytest.mark.parametrize("options", [DiarizeOptions(clustering="vbx"), DiarizeOptions(resegmentation="vb")])
def test_a_method_that_needs_a_plda_says_so_at_once(options: DiarizeOptions) -> None:
    """Before the audio is opened: the file named here does not exist."""
    plain = dataclasses.replace(default_bundle(), plda=None)
    with pytest.raises(
        CompatibilityError, match=r"by (vbx|vb) needs a PLDA and this bundle brings none"
    ) as caught:
        diarize("no such file.wav", bundle=plain, options=options)
    assert caught.value.code == "plda_missing"


def test_the_command_line_takes_a_method() -> None:
    """A method by name, and a sentence with the names when there is none like it."""
    runner = CliRunner()
    done = runner.invoke(app, ["who", str(MEETING), "--clustering", "spectral", "--json"])
    assert done.exit_code == 0, done.output
    wrong = runner.invoke(app, ["who", str(MEETING), "--clustering", "magic"])
    assert wrong.exit_code == 2
    assert "clustering is 'magic'; expected one of auto, ahc," in wrong.output
