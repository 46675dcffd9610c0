"""Trial lists: two layouts in, hostile files refused with the line, speakers worked out from the list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxid.errors import InputError
from voxid.evaluate.trials import MAX_LINE_BYTES, read_enrolment, read_scores, read_trials

SHARED = Path(__file__).parents[2] / "shared" / "eval" / "verification"


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_reads_a_voxceleb_list(tmp_path: Path) -> None:
    """Each side is its own utterance; comments, blank lines and a byte-order mark are no trials."""
    trials = read_trials(
        write(tmp_path, "t.txt", b"\xef\xbb\xbf# made by hand\n\n1 a/1.wav a/2.wav\r\n0 a/1.wav b/1.wav\n")
    )
    assert trials.enrol == ("a/1.wav", "a/1.wav")
    assert trials.is_target.tolist() == [True, False]
    assert trials.enrolment["a/1.wav"] == ("a/1.wav",)
    assert (trials.targets, trials.nontargets, trials.enrolment_sizes) == (1, 1, (1, 1))


def test_reads_a_kaldi_list_with_its_map(tmp_path: Path) -> None:
    """A model stands for its utterances."""
    enrol = write(tmp_path, "e.txt", "ann a/1.wav a/2.wav a/3.wav\nbob b/1.wav\n")
    trials = read_trials(write(tmp_path, "t.txt", "ann a/4.wav target\nbob a/4.wav nontarget\n"), enrol)
    assert trials.utterances == ("a/1.wav", "a/2.wav", "a/3.wav", "a/4.wav", "b/1.wav")
    assert trials.enrolment_sizes == (1, 3)
    assert trials.speakers.count == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no trials; expected one per line"),
        ("# nothing\n", "has no trials"),
        ("1 a/1.wav\n", r"line 1: found '1 a/1.wav'; expected `label enrol test` \(1 or 0\)"),
        ("yes a/1.wav a/2.wav\n", "line 1: found 'yes a/1.wav a/2.wav'"),
        ("1 a b\n1 a b c\n", "line 2: found 4 fields; expected 3, as on the lines before"),
        ("1 a b\n2 a c\n", "line 2: found label '2'; expected 1 or 0, as on the lines before"),
        ("1 a b\nm c target\n", "line 2: found label 'm'"),
        ("1 a b\n0 a b\n", "line 2: found a b is labelled otherwise on line 1; expected one label per pair"),
        ("m a.wav target\n", "line 1 names the model m; expected an enrolment map"),
        (b"1 a b\n\xff\xfe\x00\x01\n", "line 2: found bytes that are not UTF-8 text"),
        (b"1 a b\n1 a \x00\n", "line 2: found a NUL byte"),
        (b"1 a " + b"b" * MAX_LINE_BYTES, f"line 1: found more than {MAX_LINE_BYTES} bytes"),
    ],
)
def test_names_the_line_that_is_wrong(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    """Whatever is wrong with a list, the sentence says where."""
    with pytest.raises(InputError, match=sentence) as caught:
        read_trials(write(tmp_path, "t.txt", text))
    assert caught.value.code == "trials_invalid"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ann\n", "line 1: found model ann has no utterances"),
        ("ann a\nann b\n", "line 2: found model ann appears a second time"),
        ("ann a a\n", "line 1: found model ann lists one utterance twice"),
        ("", "has no models"),
    ],
)
def test_names_the_line_that_is_wrong_in_an_enrolment_map(tmp_path: Path, text: str, sentence: str) -> None:
    """The map is read as strictly as the list."""
    with pytest.raises(InputError, match=sentence):
        read_enrolment(write(tmp_path, "e.txt", text))


def test_rejects_a_model_the_map_lacks(tmp_path: Path) -> None:
    """A model without utterances cannot be scored."""
    enrol = write(tmp_path, "e.txt", "ann a.wav\n")
    with pytest.raises(InputError, match="line 2: found model bob; expected a model listed in"):
        read_trials(write(tmp_path, "t.txt", "ann x.wav target\nbob x.wav nontarget\n"), enrol)


def test_rejects_a_list_that_is_not_there(tmp_path: Path) -> None:
    """A missing file is its own error."""
    with pytest.raises(InputError, match="There is no file") as caught:
        read_trials(tmp_path / "none.txt")
    assert caught.value.code == "trials_missing"


def test_speakers_are_folders_where_folders_hold_one_speaker(tmp_path: Path) -> None:
    """Utterances without a target trial still belong to the person of their folder."""
    trials = read_trials(write(tmp_path, "t.txt", "1 a/1 a/2\n0 a/3 b/1\n0 a/1 b/2\n"))
    speakers = trials.speakers
    assert speakers.count == 2
    assert speakers.of["a/3"] == speakers.of["a/1"] != speakers.of["b/2"]


def test_speakers_are_chained_by_target_trials_where_folders_are_not_speakers(tmp_path: Path) -> None:
    """VoxCeleb keeps one folder per video: target trials join the videos of a person."""
    trials = read_trials(write(tmp_path, "t.txt", "1 id1/v1/1 id1/v2/1\n0 id1/v1/2 id2/v1/1\n"))
    assert trials.speakers.count == 2
    flat = read_trials(write(tmp_path, "flat.txt", "1 1.wav 2.wav\n1 2.wav 3.wav\n0 1.wav 9.wav\n"))
    assert flat.speakers.count == 2


def test_contradicting_labels_are_counted(tmp_path: Path) -> None:
    """a = b and b = c, yet a and c are said to differ."""
    trials = read_trials(write(tmp_path, "t.txt", "1 a b\n1 b c\n0 a c\n0 a d\n"))
    assert trials.speakers.contradictions == 1


def test_reads_scores_in_the_order_of_the_trials(tmp_path: Path) -> None:
    """A score file may have any order."""
    trials = read_trials(write(tmp_path, "t.txt", "1 a b\n0 a c\n"))
    scores = read_scores(write(tmp_path, "s.txt", "a c -1.5\na b 2\n"), trials)
    assert np.array_equal(scores, [2.0, -1.5])


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("a b 2\n", "scores_missing", "lacks 1 of 2 trials, first a c"),
        ("a b nan\na c 1\n", "scores_invalid", "line 1: found score 'nan'; expected a finite number"),
        ("a b high\n", "scores_invalid", "line 1: found score 'high'"),
        ("a b\n", "scores_invalid", "line 1: found 2 fields; expected enrol test score"),
    ],
)
def test_rejects_scores_that_do_not_fit(tmp_path: Path, text: str, code: str, sentence: str) -> None:
    """No trial is left out silently."""
    trials = read_trials(write(tmp_path, "t.txt", "1 a b\n0 a c\n"))
    with pytest.raises(InputError, match=sentence) as caught:
        read_scores(write(tmp_path, "s.txt", text), trials)
    assert caught.value.code == code


@pytest.mark.skipif(
    not SHARED.is_dir(), reason="the evaluation lists of ../shared/eval are not on this machine"
)
@pytest.mark.parametrize(
    ("folder", "single", "triple", "people"),
    [
        ("speechocean762", (16200, 1800), (3480, 360), 40),
        ("librispeech", (4050, 450), (250, 70), 10),
        ("commonvoice", (7443, 827), (4752, 146), 50),
    ],
)
def test_reads_the_evaluation_lists(
    folder: str, single: tuple[int, int], triple: tuple[int, int], people: int
) -> None:
    """Counts of trials, targets and speakers are those of the lists' description."""
    trials = read_trials(SHARED / folder / "trials.txt")
    assert (len(trials), trials.targets, trials.speakers.count) == (*single, people)
    trials3 = read_trials(SHARED / folder / "trials3.txt", SHARED / folder / "enrol3.txt")
    assert (len(trials3), trials3.targets, trials3.speakers.count) == (*triple, people)
    assert trials3.enrolment_sizes == (3, 3)
    assert trials.speakers.contradictions == trials3.speakers.contradictions == 0
