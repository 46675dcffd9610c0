"""Trials among held-out people, and a back-end fitted from audio made by the test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voices import voice

pytest.importorskip("torch", reason="needs the train extra: pip install 'voxid[train]'")

from voxid.audio import load
from voxid.backend import Backend, Quality, Scoring
from voxid.bundle import default_bundle, load_bundle
from voxid.calibration import Calibration
from voxid.errors import InputError
from voxid.score import center
from voxid.speech import detect_speech, measure_quality
from voxid.train.backend import BackendOptions, choose_recordings, fit_backend, score_trials
from voxid.train.crossvalidation import cross_validate, mean_eer, report
from voxid.train.development import VIEWS, WHOLE, HeardSpeech, Listener, View, altered
from voxid.train.trials import MIN_SPEECH_S, conditions_of, deal_folds, make_trials

DIM = 24


@dataclass(frozen=True)
class Clip:
    path: Path
    corpus: str
    speaker: str
    session: str


def drawn_speech(views: Sequence[str] = ("whole", "2 s"), spread: float = 0.15) -> HeardSpeech:
    """Return embeddings of 30 people in corpus a (two occasions each) and 6 in b, drawn round their own directions."""
    rng = np.random.default_rng(4)
    clips, rows, vectors, qualities = [], [], [], []
    for corpus, people in (("a", 30), ("b", 6)):
        for person in range(people):
            own = rng.standard_normal(DIM)
            for take in range(6):
                clips.append(
                    Clip(Path("x"), corpus, f"{corpus}{person}", str(take % 2 if corpus == "a" else 0))
                )
                for view in views:
                    noise = spread * (1.5 if view != "whole" else 1.0) * np.sqrt(DIM)
                    x = own + noise * rng.standard_normal(DIM)
                    rows.append((len(clips) - 1, view))
                    vectors.append(x / np.linalg.norm(x))
                    seconds = 0.5 if take == 5 and person == 0 else {"whole": 6.0, "2 s": 2.0}[view]
                    qualities.append(Quality(seconds, 20.0 + take, -25.0))
    return HeardSpeech(
        clips,
        np.array([row[0] for row in rows]),
        np.array([row[1] for row in rows]),
        np.array(vectors, dtype=np.float32),
        tuple(qualities),
        {},
    )


def test_trials_stay_within_a_corpus_and_cross_occasions() -> None:
    """Nobody meets another corpus, their own recording, or, where they have others, the same occasion."""
    speech = drawn_speech()
    trials = make_trials(speech, ("whole", "2 s"))
    assert trials.corpora == ("a", "b")
    assert set(trials.conditions) == {c.name for c in conditions_of(("whole", "2 s"))}
    for at in range(len(trials)):
        enrolled = [speech.utterances[speech.utterance[r]] for r in trials.references[trials.enroll[at]]]
        (row,) = trials.references[trials.probe[at]]
        probe = speech.utterances[speech.utterance[row]]
        assert {clip.corpus for clip in enrolled} == {probe.corpus} == {trials.corpora[trials.corpus[at]]}
        assert len({clip.speaker for clip in enrolled}) == 1
        assert trials.is_target[at] == (enrolled[0].speaker == probe.speaker)
        if trials.is_target[at]:
            assert all(clip is not probe for clip in enrolled)
            assert probe.corpus == "b" or probe.session not in {clip.session for clip in enrolled}
        assert (speech.qualities[row].net_speech_s or 0) >= MIN_SPEECH_S


def test_three_references_are_of_one_occasion_where_others_are_left() -> None:
    speech = drawn_speech()
    trials = make_trials(speech, ("whole", "2 s"))
    triples = {rows for rows in trials.references if len(rows) > 1}
    assert {len(rows) for rows in triples} == {3}
    for rows in triples:
        clips = [speech.utterances[speech.utterance[row]] for row in rows]
        assert len({clip.session for clip in clips}) == 1


def test_folds_share_no_person() -> None:
    """Small corpora stay in one piece; what a fold is judged by has heard nobody in it."""
    speech = drawn_speech()
    fold_of = deal_folds(speech, 5)
    assert len({fold_of[f"b{n}"] for n in range(6)}) == 1
    assert sorted(np.bincount([fold_of[f"a{n}"] for n in range(30)])) == [6] * 5
    trials = make_trials(speech, ("whole",), folds=5)
    people = [speech.utterances[speech.utterance[rows[0]]].speaker for rows in trials.references]
    for fold in range(5):
        inside, outside = (
            {people[side] for side in np.r_[trials.enroll[rows], trials.probe[rows]]}
            for rows in (trials.inside(fold), trials.outside(fold))
        )
        assert inside
        assert not inside & outside


def test_cells_are_capped_and_weigh_the_same() -> None:
    trials = make_trials(drawn_speech(), ("whole", "2 s"), most_per_cell=100)
    shares = trials.shares()
    for _, _, rows in trials.cells():
        target = trials.is_target[rows]
        assert 0 < target.sum() <= 100
        assert 0 < (~target).sum() <= 100
        assert shares[rows][target].sum() == pytest.approx(target.sum() / 100)
        assert shares[rows][~target].sum() == pytest.approx((~target).sum() / 100)
    many = make_trials(drawn_speech(), ("whole", "2 s"))
    full = [many.shares()[rows & ~many.is_target].sum() for _, _, rows in many.cells()]
    assert full == pytest.approx([1.0] * len(full))


def test_left_out_people_are_judged_fairly() -> None:
    """Calibrated on the others: Cllr near its minimum, and the false-accept rate wanted, within what chance allows."""
    speech = drawn_speech()
    backend = Backend(np.zeros(DIM, np.float32), Calibration(1.0, 0.0, 0, 0, "nothing"))
    scored = score_trials(backend, speech, make_trials(speech, ("whole", "2 s")))
    left_out, affine = (cross_validate(scored, names, 1e-3) for names in (("probe_log_speech_s",), ()))
    found = report(left_out, affine)["all"]
    assert found["min_cllr"] <= found["cllr"] < 1.15 * found["min_cllr"] + 0.02
    assert 0.2 < found["far_percent"] < 2.5
    assert set(report(left_out, affine)["by_corpus"]) == {"a", "b"}
    assert left_out.mean_cllr < affine.mean_cllr + 0.01


def test_a_better_score_has_the_lower_mean_eer() -> None:
    speech = drawn_speech()
    trials = make_trials(speech, ("whole", "2 s"))
    backend = Backend(np.zeros(DIM, np.float32), Calibration(1.0, 0.0, 0, 0, "nothing"))
    scores = score_trials(backend, speech, trials).scores
    blurred = scores + 0.3 * np.random.default_rng(1).standard_normal(scores.size)
    assert mean_eer(trials, scores) < mean_eer(trials, blurred)


def clip_file(folder: Path, person: int, take: int, seconds: float = 2.5) -> Path:
    path = folder / f"{person}-{take}.wav"
    soundfile.write(path, voice(seconds, 100 * person + take, 80.0 + 9.0 * person), 16_000, subtype="PCM_16")
    return path


def test_views_do_what_they_say(tmp_path: Path) -> None:
    """Cuts hold the speech asked for, the telephone empties the high band, noise lowers the SNR; all by the seed."""
    waveform = load(clip_file(tmp_path, 1, 1, 6.0))
    regions = detect_speech(waveform)
    before = measure_quality(waveform, regions)
    heard = {}
    for view in VIEWS:
        twice = [altered(waveform, regions, view, [], np.random.default_rng(3)) for _ in range(2)]
        assert np.array_equal(twice[0].samples, twice[1].samples)
        assert np.abs(twice[0].samples).max() <= 1.0
        heard[view.name] = measure_quality(twice[0], detect_speech(twice[0]))
    assert heard["whole"] == before
    assert heard["2 s"].net_speech_s == pytest.approx(2.0, abs=0.5)
    assert heard["telephone"].high_band_db < -40 < before.high_band_db  # type: ignore[operator]
    assert heard["noise"].snr_db < before.snr_db  # type: ignore[operator]


def test_embeddings_are_kept_and_silence_is_left_out(tmp_path: Path) -> None:
    """The second run hears nothing again and gives the same; a file without speech is counted, not embedded."""
    clips = [Clip(clip_file(tmp_path, 1, n), "a", "p1", "0") for n in range(2)]
    soundfile.write(tmp_path / "silence.wav", np.zeros(32_000), 16_000)
    clips.append(Clip(tmp_path / "silence.wav", "a", "p2", "0"))
    listener = Listener(default_bundle(), cache=tmp_path / "cache", workers=1)
    first = listener.hear(clips, (WHOLE, View("1 s", cut_s=1.0)))
    assert first.left_out == {"no_speech": 1}
    assert list(zip(first.utterance.tolist(), first.view.tolist(), strict=True)) == [
        (0, "whole"), (0, "1 s"), (1, "whole"), (1, "1 s"),
    ]  # fmt: skip
    done: list[int] = []
    again = listener.hear(clips[:2], (WHOLE, View("1 s", cut_s=1.0)), lambda n, of: done.append(n))
    assert done == []
    np.testing.assert_array_equal(again.vectors, first.vectors)
    assert again.qualities == first.qualities


def test_recordings_of_the_cohort_are_few_per_speaker() -> None:
    clips = [Clip(Path(f"{n}"), "a", f"p{n % 7}", "0") for n in range(70)]
    chosen = choose_recordings(clips, BackendOptions(cohort_speakers=5, utterances_per_speaker=3))
    assert len(chosen) == 15
    assert len({clip.speaker for clip in chosen}) == 5
    assert chosen == choose_recordings(clips, BackendOptions(cohort_speakers=5, utterances_per_speaker=3))


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Clip], list[Clip]]:
    """Return recordings of 15 training people, two each, and of 20 others, four each."""
    folder = tmp_path_factory.mktemp("speech")
    training = [Clip(clip_file(folder, p, n, 1.5), "a", f"p{p}", "0") for p in range(15) for n in range(2)]
    held_out = [Clip(clip_file(folder, p, n), "a", f"p{p}", "0") for p in range(15, 35) for n in range(4)]
    return training, held_out


def test_a_backend_is_fitted_from_audio(speech: tuple[list[Clip], list[Clip]], tmp_path: Path) -> None:
    """A new bundle: loaded and hash-checked, with all parts, another id, and what it does for people left out."""
    options = BackendOptions(
        tops=(10,), plda_dims=(0, 5), views=("whole", "telephone"), folds=2, most_per_cell=6_000
    )
    steps: set[str] = set()
    bundle = fit_backend(
        default_bundle().path, *speech, options, out=tmp_path / "made", cache=tmp_path / "cache", workers=2,
        progress=lambda part, done, of: steps.add(part),
    )  # fmt: skip
    assert load_bundle(tmp_path / "made").id == bundle.id != default_bundle().id
    assert steps == {"cohort", "held-out speech", "scoring", "calibration"}
    assert len(bundle.card["backend"]["calibrations"]) == 1 + len(options.quality_sets)
    assert bundle.graph == default_bundle().graph
    assert bundle.plda is not None
    tried = bundle.card["backend"]["candidates"]
    assert {line["method"] for line in tried} == {"cosine", "as_norm", "plda"}
    best = min(tried, key=lambda line: line["mean_eer_percent"])
    assert bundle.scoring.method == best["method"] == bundle.card["backend"]["chosen"]["method"]
    assert bundle.card["backend"]["left_out_people"]["all"]["cllr"] < 1.0
    assert "far_1pct" in bundle.profiles
    side = bundle.backend.side(center(np.ones((1, bundle.dim)), bundle.mean), [Quality(2.0, 20.0, -20.0)])
    assert np.isfinite(bundle.backend.compare(side, side)[1]).all()


def test_too_few_people_leave_the_bundle_as_it_was(
    speech: tuple[list[Clip], list[Clip]], tmp_path: Path
) -> None:
    training, held_out = speech
    options = BackendOptions(views=("whole",), tops=(10,))
    with pytest.raises(InputError) as caught:
        fit_backend(default_bundle().path, training, held_out[:8], options, out=tmp_path / "made", workers=1)
    assert caught.value.code in {"too_few_trials", "calibration_needs_trials"}
    assert not (tmp_path / "made").exists()


def test_scoring_follows_the_method_asked_for() -> None:
    """AS-norm over a cohort orders other than the cosine does."""
    speech = drawn_speech()
    trials = make_trials(speech, ("whole",))
    cohort = center(np.random.default_rng(9).standard_normal((60, DIM)), np.zeros(DIM))
    plain = Calibration(1.0, 0.0, 0, 0, "nothing")
    scores = [
        score_trials(
            Backend(np.zeros(DIM, np.float32), plain, Scoring(method, 20), cohort), speech, trials
        ).scores
        for method in ("cosine", "as_norm")
    ]
    assert np.corrcoef(scores)[0, 1] > 0.8
    assert (np.argsort(scores[0]) != np.argsort(scores[1])).any()
