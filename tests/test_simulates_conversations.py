"""Simulated conversations: the truth is where the speech is, one seed gives the same bytes, rooms ring as asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from voxid.audio import load
from voxid.cli import main
from voxid.cli.demo import VOICES
from voxid.errors import ConfigError, InputError
from voxid.simulate.chunks import Chunks
from voxid.simulate.clips import listen, spans_of
from voxid.simulate.composing import Score, compose
from voxid.simulate.conversations import Simulator, write_conversation
from voxid.simulate.distortions import Samples
from voxid.simulate.fitting import draw_timeline, measure_talk
from voxid.simulate.libraries import FileLibrary, SpeakerFiles
from voxid.simulate.packed import PackedLibrary, pack_speech
from voxid.simulate.recipe import STYLES, Noise, Places, SimulationRecipe, load_simulation_recipe
from voxid.simulate.rooms import draw_room, room_response
from voxid.simulate.timing import timing_named
from voxid.timeline import Timeline, read_uem

PEOPLE = ("ada", "bruno", "clara", "dev")
QUIET = SimulationRecipe(name="quiet", speakers=(2, 2), minutes=(0.5, 0.5), noise=Noise(snr_db=(90, 90)))
Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def library() -> FileLibrary:
    """The sample voices, heard through once for all tests."""
    files = {name: tuple(sorted((VOICES / name).glob("*.opus"))) for name in PEOPLE}
    return FileLibrary([SpeakerFiles(name, {"": paths}) for name, paths in files.items()])


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, library: FileLibrary) -> PackedLibrary:
    """The same, packed."""
    folder = tmp_path_factory.mktemp("packed")
    assert not pack_speech(library.speakers, folder)
    return PackedLibrary(folder)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``voxid simulate ... --json`` in an empty folder; give the exit code and the JSON."""
    monkeypatch.chdir(tmp_path)

    def run_json(*arguments: object) -> tuple[int, dict[str, Any]]:
        code = main(["simulate", *(str(argument) for argument in arguments), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run_json


def spoken(truth: Timeline, n_frames: int, margin: int = 0) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which frames of 10 ms hold speech, or with a margin lie near it (below 0: well inside)."""
    active = np.zeros(n_frames, np.bool_)
    for region in truth.regions():
        start, end = round(region.start_s * 100) - margin, round(region.end_s * 100) + margin
        active[max(0, start) : max(0, end)] = True
    return active


def power_db(samples: Samples) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the power of each 10 ms in dB."""
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160).astype(np.float64)
    return np.asarray(10 * np.log10((frames**2).mean(axis=1) + 1e-12))


def test_truth_is_where_the_speech_is(library: FileLibrary) -> None:
    """Without noise and room it is silent outside the truth and loud inside."""
    made = Simulator(QUIET, library, 1).conversation(0)
    heard = power_db(made.samples[0])
    inside, near = spoken(made.truth, heard.size), spoken(made.truth, heard.size, margin=6)
    assert 0.5 < inside.mean() < 1.0
    assert heard[inside].mean() > heard[~near].mean() + 40
    loud = heard > heard[inside].mean() - 15
    assert (loud & ~near).sum() == 0
    # Pauses of up to 0.3 s count as speech, longer ones do not.
    assert loud[inside].mean() > 0.6


def test_same_seed_gives_the_same_bytes(library: FileLibrary, tmp_path: Path) -> None:
    """Conversation 1 is the same whether or not 0 was made before it; another seed gives another."""
    recipe = replace(STYLES["meeting"], minutes=(0.3, 0.3))
    alone = write_conversation(Simulator(recipe, library, 5).conversation(1), tmp_path / "a")
    fresh = FileLibrary(library.speakers)
    listed = [write_conversation(c, tmp_path / "b") for c in Simulator(recipe, fresh, 5).conversations(2)]
    other = write_conversation(Simulator(recipe, library, 6).conversation(1), tmp_path / "c")
    assert alone["sha256"] == listed[1]["sha256"] != listed[0]["sha256"]
    assert alone["sha256"] != other["sha256"]
    for ending in ("rttm", "uem"):
        name = f"meeting-001.{ending}"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_files_agree_with_each_other(library: FileLibrary, tmp_path: Path) -> None:
    """RTTM and UEM name the recording, cover it and do not reach over its end."""
    write_conversation(Simulator(QUIET, library, 2).conversation(0), tmp_path, "wav")
    audio = load(tmp_path / "quiet-000.wav")
    truth = Timeline.read_rttm(tmp_path / "quiet-000.rttm", duration_s=audio.duration_s)
    assert truth.uri == "quiet-000"
    assert set(truth.speakers) <= set(PEOPLE)
    (region,) = read_uem(tmp_path / "quiet-000.uem")["quiet-000"]
    assert (region.start_s, region.end_s) == (0.0, 30.0)
    assert audio.duration_s == pytest.approx(30.0)


def test_telephone_calls_can_have_a_channel_per_speaker(library: FileLibrary) -> None:
    """8 kHz; where only the second speaker is heard, the first channel is silent."""
    recipe = replace(STYLES["telephone"], minutes=(0.5, 0.5), noise=Noise(snr_db=(60, 60)), stereo=True)
    made = Simulator(recipe, library, 3).conversation(0)
    assert made.rate_hz == 8_000
    assert made.samples.shape == (2, 240_000)
    first, second = made.facts["speakers"]
    wide = made.samples.repeat(2, axis=1)
    for channel, speaker, other in ((0, first, second), (1, second, first)):
        own = Timeline(tuple(t for t in made.truth.turns if t.speaker == speaker), 30.0)
        others = Timeline(tuple(t for t in made.truth.turns if t.speaker == other), 30.0)
        heard = power_db(wide[channel])
        alone = spoken(others, heard.size) & ~spoken(own, heard.size, margin=10)
        assert heard[spoken(own, heard.size)].mean() > heard[alone].mean() + 20


def test_sound_takes_its_time_through_a_room(library: FileLibrary) -> None:
    """The truth is as late as the direct sound."""
    score = _score(library)
    near, far = score.timeline(60.0, "x", [0.0, 0.0]), score.timeline(60.0, "x", [0.02, 0.01])
    late = {
        name: delay for voice, delay in zip(score.voices, (0.02, 0.01), strict=True) for name in [voice.name]
    }
    for turn in near.turns:
        assert any(
            other.start_s == pytest.approx(turn.start_s + late[turn.speaker])
            for other in far.turns
            if other.speaker == turn.speaker
        )
    response = room_response(
        np.array([6.0, 5.0, 3.0]),
        np.array([1.0, 1.0, 1.5]),
        np.array([1.0, 4.43, 1.5]),
        0.3,
        np.random.default_rng(0),
    )
    assert response.delay_s == pytest.approx(0.01)  # 3.43 m
    assert int(np.flatnonzero(response.samples)[0]) == 160
    assert response.samples[160] == pytest.approx(1 / 3.43, rel=1e-3)


@pytest.mark.parametrize("rt60_s", [0.25, 0.5, 0.8])
def test_rooms_ring_as_long_as_asked(rt60_s: float) -> None:
    """RT60 by Schroeder's backward integration (-5 to -25 dB), mean of five places, within a tenth."""
    found = []
    room = draw_room(np.random.default_rng(2), 5, (3.0, 8.0), (rt60_s, rt60_s), (0.5, 3.0))
    for response in room.responses:
        left = np.cumsum(np.square(response.samples.astype(np.float64))[::-1])[::-1]
        level_db = 10 * np.log10(left / left[0] + 1e-12)
        found.append(3 * (np.searchsorted(-level_db, 25) - np.searchsorted(-level_db, 5)) / 16_000)
        assert 0.4 <= response.distance_m <= 3.5
    assert np.mean(found) == pytest.approx(rt60_s, rel=0.1)


def test_speech_is_cut_at_its_pauses() -> None:
    """Spans are tight around what is loud, close pauses of 0.3 s and keep longer ones apart."""
    loudness = np.full(300, -80, np.int8)
    loudness[20:60] = loudness[80:120] = loudness[200:240] = -20
    spans = spans_of(np.array([[10, 65], [78, 125], [195, 250], [280, 285]]), loudness)
    assert spans.tolist() == [[20, 120], [200, 240]]
    assert spans_of(np.zeros((0, 2), np.int32), loudness).shape == (0, 2)
    assert listen(np.zeros(16_000, np.float32)).speech_frames == 0
    assert listen(np.zeros(0, np.float32)).speech_frames == 0


def _score(library: FileLibrary, n_frames: int = 6_000) -> Score:
    rng = np.random.default_rng(4)
    voices = [library.open_voice(number, rng, 60.0) for number in (0, 1)]
    return compose(timing_named("ami"), voices, n_frames, rng)


def test_activity_is_the_timeline_in_frames(library: FileLibrary) -> None:
    """Both say the same of every frame, in any window."""
    score = _score(library)
    truth = score.timeline(60.0, "x", [0.0, 0.0])
    whole = score.activity(0, 6_000)
    for number, voice in enumerate(score.voices):
        own = Timeline(tuple(t for t in truth.turns if t.speaker == voice.name), 60.0)
        assert (spoken(own, 6_000) == whole[:, number]).all()
    assert (score.activity(1_500, 1_000) == whole[1_500:2_500]).all()


def test_speech_is_heard_once_before_it_is_heard_twice(library: FileLibrary) -> None:
    """In a short talk nothing is repeated; a long one repeats and says so."""
    assert _score(library, 400).repeated_share == 0.0
    assert _score(library, 20_000).repeated_share > 0.3
    pieces = [
        (p.speaker, p.clip.key, f)
        for p in _score(library, 400).placements
        for f in range(p.first, p.first + p.length)
    ]
    assert len(pieces) == len(set(pieces))


@pytest.mark.parametrize("name", ["ami", "voxconverse"])
def test_speech_keeps_the_timing_it_is_given(library: FileLibrary, name: str) -> None:
    """Talk made of real recordings overlaps and changes hands as talk drawn without any."""
    rng = np.random.default_rng(6)
    voices = [library.open_voice(number, rng, 1e9) for number in range(4)]
    scores = [compose(timing_named(name), voices, 180_000, rng) for _ in range(4)]
    found = measure_talk(score.timeline(1800.0, "x", [0.0] * 4) for score in scores)
    drawn = measure_talk(draw_timeline(timing_named(name), 4, 1800.0, seed) for seed in range(8))
    assert found.overlap_share == pytest.approx(drawn.overlap_share, abs=0.03)
    assert found.speech_share == pytest.approx(drawn.speech_share, abs=0.04)
    assert found.changes_per_minute == pytest.approx(drawn.changes_per_minute, rel=0.2)
    assert found.offset_s[1:4] == pytest.approx(drawn.offset_s[1:4], abs=0.2)
    assert found.stretch_s[1:4] == pytest.approx(drawn.stretch_s[1:4], rel=0.25)


def test_everybody_asked_for_is_heard(library: FileLibrary) -> None:
    """Four people in a minute of broadcast, each for two seconds or more."""
    recipe = replace(STYLES["broadcast"], speakers=(4, 4), minutes=(1, 1))
    made = Simulator(recipe, library, 8).conversation(0)
    assert len(made.truth.speakers) == 4
    assert min(made.truth.speech_s(name) for name in made.truth.speakers) >= 1.9


def test_packed_speech_is_the_same_speech(library: FileLibrary, packed: PackedLibrary) -> None:
    """Samples agree to 16 bits, spans and names exactly."""
    assert list(packed.names) == list(library.names)
    rng = np.random.default_rng(0)
    voice, stored = library.open_voice(1, rng, 1e9), packed.open_voice(1, rng, 1e9)
    assert stored.speech_s == pytest.approx(voice.speech_s)
    by_level = {round(clip.level, 6): clip for clip in voice.clips}
    for clip in stored.clips:
        twin = by_level[round(clip.level, 6)]
        assert (clip.spans == twin.spans).all()
        assert np.abs(packed.samples(clip) - library.samples(twin)).max() < 1e-4


def test_chunks_for_training(packed: PackedLibrary) -> None:
    """10 s, four columns, by first word; the same seed gives the same; features meet their activity."""
    mix = ((replace(STYLES["meeting"], speakers=(2, 4), noise=Noise(snr_db=(60, 60)), places=Places()), 1.0),)
    chunks = []
    for chunk in Chunks(packed, 7, mix):
        chunks.append(chunk)
        if len(chunks) == 6:
            break
    again = next(iter(Chunks(packed, 7, mix)))
    assert (again.samples == chunks[0].samples).all()
    assert (again.activity == chunks[0].activity).all()
    for chunk in chunks:
        assert chunk.samples.shape == (160_000,)
        assert chunk.activity.shape == (1000, 4)
        used = chunk.activity.any(axis=0)
        assert used.sum() == chunk.n_speakers
        assert used[: chunk.n_speakers].all()
        starts = chunk.activity.argmax(axis=0)[: chunk.n_speakers]
        assert (np.diff(starts) >= 0).all()
        features, activity = chunk.features()
        assert features.shape == (998, 80)
        assert activity.shape == (998, 4)
        active = activity.any(axis=1)
        if 50 < active.sum() < 948:
            assert features[active].mean() > features[~active].mean() + 2.0


def test_recipes_say_everything(tmp_path: Path) -> None:
    """YAML and JSON read alike; the benchmark's recipes load; what is left out keeps the default."""
    (tmp_path / "r.yaml").write_text(
        "name: two\nspeakers: 2\nplaces: {share: 0.5, reverberation_s: [0.1, 0.3]}\n"
    )
    (tmp_path / "r.json").write_text(
        '{"name": "two", "speakers": 2, "places": {"share": 0.5, "reverberation_s": [0.1, 0.3]}}'
    )
    recipe = load_simulation_recipe(tmp_path / "r.yaml")
    assert recipe == load_simulation_recipe(tmp_path / "r.json")
    assert recipe.speakers == (2.0, 2.0)
    assert recipe.places.distance_m == Places().distance_m
    for part in ("telephone", "meeting", "broadcast"):
        committed = Path(__file__).parents[1] / "recipes" / f"simulation-{part}.yaml"
        assert load_simulation_recipe(committed).name == part


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("colour: red", "has unknown key 'colour'; known keys: level_spread_db"),
        ("speakers: 9", "speakers is 9 to 9; expected least <= most, both from 1 to 8"),
        ("minutes: [5, 3]", "minutes is 5 to 3; expected least <= most"),
        ("speakers: many", "speakers must be a number or [least, most], found 'many'"),
        ("places: {share: 2}", "places.share is 2; expected a share from 0 to 1"),
        ("overlap: 0.9", "overlap is 0.9; expected up to 0.6"),
        ("rate_hz: 44100", "rate_hz is 44100; expected 8000 or 16000"),
        ("{stereo: true, places: {share: 1}}", "set places.share to 0"),
        ("name: a/b", "its name must be letters, digits, - and _"),
        ("- a", "must be a mapping, found list"),
        ("a: [", "is not valid YAML"),
        ("stereo: 1", "stereo must be bool, found 1"),
    ],
)
def test_rejects_recipes(tmp_path: Path, text: str, told: str) -> None:
    """The sentence names the key."""
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        load_simulation_recipe(tmp_path / "r.yaml")
    assert error.value.code == "recipe_invalid"
    assert told in error.value.message


def test_command_writes_audio_and_truth(run: Run, tmp_path: Path) -> None:
    """From a list file; the manifest repeats what was printed."""
    rows = [f"{name}\t{path}" for name in PEOPLE for path in sorted((VOICES / name).glob("*.opus"))]
    (tmp_path / "list.txt").write_text("\n".join(rows) + "\n")
    recipe = '{"name": "chat", "speakers": 2, "minutes": 0.2}'
    (tmp_path / "r.json").write_text(recipe)
    code, told = run(
        "list.txt", "--recipe", "r.json", "--count", 2, "--seed", 9, "--out", "made", "--format", "wav"
    )
    assert code == 0
    assert [entry["name"] for entry in told["conversations"]] == ["chat-000", "chat-001"]
    stored = json.loads((tmp_path / "made" / "simulation.json").read_text())
    assert stored["conversations"] == told["conversations"]
    assert (stored["seed"], stored["recipe"]["name"]) == (9, "chat")
    assert soundfile.info(tmp_path / "made" / "chat-001.wav").duration == pytest.approx(12.0)
    assert (tmp_path / "made" / "chat-001.rttm").stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (
            ["none", "--out", "o"],
            "speech_missing",
            "There is no folder none; give one that holds a folder per",
        ),
        (["empty", "--out", "o"], "speech_missing", "empty holds no folders with audio files"),
        (["one", "--out", "o"], "too_few_speakers", "has 1 speakers; 4 are to talk with each other"),
        (
            ["one", "--out", "o", "--style", "opera"],
            "style_unknown",
            "There is no style 'opera'; choose broadcast",
        ),
        (["one", "--out", "o", "--format", "mp3"], "format_unknown", "flac or wav, not as 'mp3'"),
        (["one", "--out", "o", "--style", "meeting", "--recipe", "r"], "style_and_recipe", "so give one"),
        (["one", "--out", "o", "--recipe", "r.yaml"], "recipe_missing", "there is no recipe at r.yaml"),
        (["one", "--out", "o", "--speakers", "20"], "recipe_invalid", "speakers is 20 to 20"),
        (["bad.txt", "--out", "o"], "list_invalid", "bad.txt, line 2: expected speaker<TAB>path"),
        (
            ["silent", "--out", "o", "--speakers", "2"],
            "too_few_speakers",
            "Fewer than 2 speakers have 4 s of",
        ),
    ],
)
def test_command_rejects_bad_input(
    run: Run, tmp_path: Path, arguments: list[str], code: str, sentence: str
) -> None:
    """Exit code 2, a code and a sentence; nothing is written."""
    (tmp_path / "empty").mkdir()
    for name in ("one/ada", "silent/x", "silent/y"):
        (tmp_path / name).mkdir(parents=True)
        soundfile.write(tmp_path / name / "a.wav", np.zeros(16_000), 16_000)
    (tmp_path / "bad.txt").write_text("ada\ta.wav\nbruno b.wav\n")
    exit_code, told = run(*arguments)
    assert (exit_code, told["error"]) == (2, code)
    assert sentence in told["message"]
    assert not (tmp_path / "o").exists()


def test_unreadable_recordings_are_left_out_and_counted(tmp_path: Path) -> None:
    """Broken files are counted by their error; a voice is made of the others."""
    home = tmp_path / "ada"
    home.mkdir()
    (home / "broken.wav").write_bytes(b"RIFF" + bytes(20))
    (home / "good.opus").write_bytes((VOICES / "ada" / "01.opus").read_bytes())
    library = FileLibrary.of_folder(tmp_path)
    voice = library.open_voice(0, np.random.default_rng(0), 1e9)
    assert len(voice.clips) == 2 - sum(library.left_out.values()) == 1


def test_rejects_voices_without_speech() -> None:
    """Composing needs somebody who says something."""
    with pytest.raises(InputError) as told:
        compose(timing_named("ami"), [], 100, np.random.default_rng(0))
    assert told.value.code == "voice_without_speech"
