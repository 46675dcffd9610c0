"""Readers of the speech corpora: a cloned repository in, utterances with their speakers out.

Each reader yields :class:`Utterance` rows and opens no audio. Speaker names carry a prefix per source of
identities, so that the same LibriSpeech reader or Common Voice client met in two repositories is one class.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from voxid.errors import ConfigError
from voxid.train.recipe import CorpusEntry


@dataclass(frozen=True)
class Utterance:
    """One audio file with what is known of it. ``session`` tells recordings made on different occasions apart."""

    path: Path
    corpus: str
    speaker: str
    session: str
    text: str
    labelled: bool = True


Reader = Callable[[Path], Iterator[tuple[Path, str, str, str]]]
# A Common Voice person whose clip numbers lie further apart than this recorded them on different occasions.
_SESSION_GAP_CLIPS = 10_000


def read_corpus(entry: CorpusEntry, root: Path, reserved: frozenset[str]) -> list[Utterance]:
    """Return the utterances of one corpus, sorted by path, without those of reserved speakers.

    Args:
        entry: the recipe's row; ``entry.folder`` is looked for below ``root``.
        root: folder that holds the clones.
        reserved: speaker ids as they stand in the corpus (not prefixed) that must never be read.

    Raises:
        ConfigError: ``corpus_missing`` when the folder is absent or holds nothing readable,
            ``recipe_invalid`` for an unknown reader.
    """
    reader = READERS.get(entry.reader)
    if reader is None:
        raise ConfigError(
            "recipe_invalid",
            f"corpus {entry.name!r} names reader {entry.reader!r}; known: {', '.join(sorted(READERS))}.",
        )
    folder = root / entry.folder
    rows = [
        Utterance(path, entry.name, speaker, session, text, entry.labelled)
        for path, speaker, session, text in (reader(folder) if folder.is_dir() else ())
        if speaker.split("-", 1)[1] not in reserved
    ]
    if not rows:
        raise ConfigError(
            "corpus_missing",
            f"no speech of corpus {entry.name!r} below {folder}; "
            f"run: git clone {entry.repository} {folder} && git -C {folder} checkout {entry.commit}",
        )
    return sorted(rows, key=lambda row: str(row.path))


def _speechocean(folder: Path) -> Iterator[tuple[Path, str, str, str]]:
    text = {}
    for part in ("train", "test"):
        for line in (folder / part / "text").read_text(encoding="utf-8").splitlines():
            utterance, _, words = line.partition("\t") if "\t" in line else line.partition(" ")
            text[utterance] = words
    for path in folder.glob("WAVE/SPEAKER*/*.WAV"):
        yield path, f"so-{path.parent.name.removeprefix('SPEAKER')}", "0", text.get(path.stem, path.stem)


def _speech_commands(folder: Path) -> Iterator[tuple[Path, str, str, str]]:
    for path in folder.glob("**/*_nohash_*.wav"):
        yield path, f"sc-{path.name.split('_')[0]}", "0", path.parent.name


def _librispeech_excerpts(folder: Path) -> Iterator[tuple[Path, str, str, str]]:
    """Only the train- folders: the test-other speakers there are for evaluation."""
    for path in folder.glob("audio_data/librispeech_train-*/**/*.flac"):
        speaker = re.match(r"\d+", path.parent.name if path.parent.name.isdigit() else path.name)
        if speaker:
            yield (
                path,
                f"ls-{speaker.group()}",
                path.stem.split("-")[1] if "-" in path.stem else "0",
                path.stem,
            )


def _librispeech_chapters(folder: Path) -> Iterator[tuple[Path, str, str, str]]:
    for path in folder.glob("audio/LibriSpeechSamples/train-clean-100/*/*/*.flac"):
        yield path, f"ls-{path.parent.parent.name}", path.parent.name, path.stem


def _librispeech(folder: Path) -> Iterator[tuple[Path, str, str, str]]:
    """LibriSpeech's own layout anywhere below the folder, but for test-other, whose readers are for evaluation."""
    for path in folder.glob("**/*.flac"):
        name = re.fullmatch(r"(\d+)-(\d+)-\d+", path.stem)
        if name and "test-other" not in path.parts:
            yield path, f"ls-{name[1]}", name[2], path.stem


def _alphanumeric(folder: Path) -> Iterator[tuple[Path, str, str, str]]:
    for path in folder.glob("audio_data/*/*.wav"):
        yield path, f"alnum-{path.stem}", "0", f"{path.parent.name} {path.stem}"


def _dspspeech(folder: Path) -> Iterator[tuple[Path, str, str, str]]:
    for path in folder.glob("speech_data/*/*.wav"):
        yield path, f"dsp-{path.parent.name}", "0", path.stem.split("-")[1] if "-" in path.stem else path.stem


def _arabic_commands(folder: Path) -> Iterator[tuple[Path, str, str, str]]:
    for path in folder.glob("dataset/*/*_NO_*.wav"):
        yield path, f"ar-{path.name.split('_')[0]}", "0", path.parent.name


def _spoken_digits(folder: Path) -> Iterator[tuple[Path, str, str, str]]:
    for path in folder.glob("recordings/*.wav"):
        digit, speaker, _ = path.stem.split("_")
        yield path, f"fsdd-{speaker}", "0", digit


def _common_voice(folder: Path) -> Iterator[tuple[Path, str, str, str]]:
    """Every ``*.tsv`` with ``client_id`` and ``path`` columns, with the clips lying anywhere below the folder."""
    clips = {path.name: path for path in folder.glob("**/*.mp3")}
    people: dict[str, list[tuple[int, Path, str]]] = {}
    seen: set[str] = set()
    for table in sorted(folder.glob("**/*.tsv")):
        with table.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
                client, name = row.get("client_id"), Path(row.get("path") or "").name
                if client and name in clips and name not in seen:
                    seen.add(name)
                    number = re.search(r"(\d+)\.mp3$", name)
                    people.setdefault(client, []).append(
                        (int(number.group(1)) if number else 0, clips[name], row.get("sentence") or name)
                    )
    for client, rows in people.items():
        session, previous = 0, None
        for clip_number, path, sentence in sorted(rows, key=lambda row: row[0]):
            if previous is not None and clip_number - previous > _SESSION_GAP_CLIPS:
                session += 1
            previous = clip_number
            yield path, f"cv-{client}", str(session), sentence


def _unlabelled(folder: Path) -> Iterator[tuple[Path, str, str, str]]:
    """Every audio file that no table of the folder gives a speaker; each is a speaker of its own."""
    known = {
        Path(row.get("path") or "").name
        for table in folder.glob("**/*.tsv")
        for row in csv.DictReader(
            table.open(encoding="utf-8", newline=""), delimiter="\t", quoting=csv.QUOTE_NONE
        )
        if row.get("client_id")
    }
    for suffix in ("wav", "flac", "mp3"):
        for path in folder.glob(f"**/*.{suffix}"):
            if path.name not in known and "noise" not in path.parts:
                yield path, f"un-{path.relative_to(folder)}", "0", path.stem


READERS: dict[str, Reader] = {
    "alphanumeric": _alphanumeric,
    "arabic_commands": _arabic_commands,
    "common_voice": _common_voice,
    "dspspeech": _dspspeech,
    "librispeech": _librispeech,
    "librispeech_chapters": _librispeech_chapters,
    "librispeech_excerpts": _librispeech_excerpts,
    "speech_commands": _speech_commands,
    "speechocean": _speechocean,
    "spoken_digits": _spoken_digits,
    "unlabelled": _unlabelled,
}
