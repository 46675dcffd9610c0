"""Where the speech of a conversation comes from: a folder, a list of files, or speech packed for training."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxid.audio import AudioLimits, load
from voxid.errors import InputError
from voxid.simulate.clips import Clip, Library, Voice, listen
from voxid.simulate.distortions import Samples

__all__ = ["AUDIO_SUFFIXES", "FileLibrary", "PackedLibrary", "SpeakerFiles", "pack_speech"]

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".m4a"})

_KEPT_SAMPLES = 64 << 20  # decoded speech kept in memory: 256 MB
_LIMITS = AudioLimits(max_duration_s=3600.0)
_INT16 = 32767.0


@dataclass(frozen=True)
class SpeakerFiles:
    """The recordings of one speaker: paths by session. ``group`` says what kind of recordings they are."""

    name: str
    sessions: Mapping[str, tuple[Path, ...]]
    group: str = ""


@dataclass(eq=False)
class FileLibrary:
    """Speech in files, decoded and heard through when a voice is opened.

    Attributes:
        speakers: who there is.
        left_out: how many files could not be used, by the code of the error.
    """

    speakers: Sequence[SpeakerFiles]
    left_out: Counter[str] = field(default_factory=Counter)
    _paths: list[Path] = field(default_factory=list)
    _clips: dict[Path, Clip] = field(default_factory=dict)
    _kept: OrderedDict[int, Samples] = field(default_factory=OrderedDict)

    @classmethod
    def of_folder(cls, folder: Path) -> FileLibrary:
        """Return the library of a folder with one folder per speaker; folders inside these are sessions.

        Raises:
            InputError: ``speech_missing``.
        """
        if not folder.is_dir():
            raise InputError(
                "speech_missing", f"There is no folder {folder}; give one that holds a folder per speaker."
            )
        speakers = []
        for home in sorted(path for path in folder.iterdir() if path.is_dir()):
            files = sorted(path for path in home.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
            sessions: dict[str, list[Path]] = {}
            for path in files:
                sessions.setdefault(path.parent.relative_to(home).as_posix(), []).append(path)
            if files:
                speakers.append(SpeakerFiles(home.name, {k: tuple(v) for k, v in sessions.items()}))
        if not speakers:
            raise InputError(
                "speech_missing",
                f"{folder} holds no folders with audio files; expected one folder per speaker.",
            )
        return cls(speakers)

    @classmethod
    def of_list(cls, path: Path) -> FileLibrary:
        """Return the library of a text file with lines ``speaker<TAB>path``; paths may be relative to the file.

        Raises:
            InputError: ``list_missing``, ``list_invalid`` with the line number.
        """
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                "list_missing", f"{path} cannot be read as a list ({error}); give lines of speaker<TAB>path."
            ) from None
        files: dict[str, list[Path]] = {}
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            name, tab, where = line.partition("\t")
            if not tab or not name.strip() or not where.strip():
                raise InputError(
                    "list_invalid",
                    f"{path}, line {number}: expected speaker<TAB>path, found {line[:60]!r}; correct it.",
                )
            files.setdefault(name.strip(), []).append(path.parent / where.strip())
        if not files:
            raise InputError("list_invalid", f"{path} names no speech; expected lines of speaker<TAB>path.")
        return cls([SpeakerFiles(name, {"": tuple(sorted(of))}) for name, of in sorted(files.items())])

    @property
    def names(self) -> Sequence[str]:
        """The speakers."""
        return [speaker.name for speaker in self.speakers]

    @property
    def groups(self) -> Sequence[str]:
        """The group of each speaker."""
        return [speaker.group for speaker in self.speakers]

    def open_voice(self, number: int, rng: np.random.Generator, enough_s: float) -> Voice:
        """Return a speaker in the session with most files, or one of those alike; files in random order."""
        speaker = self.speakers[number]
        most = max(len(paths) for paths in speaker.sessions.values())
        large = sorted(name for name, paths in speaker.sessions.items() if 2 * len(paths) > most)
        paths = speaker.sessions[large[int(rng.integers(len(large)))]]
        clips: list[Clip] = []
        for at in rng.permutation(len(paths)):
            clip = self._listen(paths[at])
            if clip.speech_frames:
                clips.append(clip)
            if sum(clip.speech_frames for clip in clips) >= enough_s * 100:
                break
        return Voice(speaker.name, tuple(clips), speaker.group)

    def samples(self, clip: Clip) -> Samples:
        """Return (N,) at 16 kHz of a clip, from memory or decoded again."""
        if clip.key not in self._kept:
            self._keep(clip.key, load(self._paths[clip.key], limits=_LIMITS).samples)
        self._kept.move_to_end(clip.key)
        return self._kept[clip.key]

    def path_of(self, clip: Clip) -> Path:
        """Return the file of a clip."""
        return self._paths[clip.key]

    def _listen(self, path: Path) -> Clip:
        if path not in self._clips:
            key = len(self._paths)
            self._paths.append(path)
            try:
                samples = load(path, limits=_LIMITS).samples
            except InputError as error:
                self.left_out[error.code] += 1
                samples = np.zeros(0, np.float32)
            self._clips[path] = listen(samples, key)
            self._keep(key, samples)
        return self._clips[path]

    def _keep(self, key: int, samples: Samples) -> None:
        self._kept[key] = samples
        while sum(kept.size for kept in self._kept.values()) > _KEPT_SAMPLES and len(self._kept) > 1:
            self._kept.popitem(last=False)


_COLUMNS = ("start", "size", "speaker", "session", "first_span", "spans", "first_frame", "level")


@dataclass(eq=False)
class PackedLibrary:
    """Speech decoded and heard through once, as memory maps: opening a voice costs nothing.

    A folder holds ``samples.i16`` (all samples one after another), ``loudness.i8`` (10 ms frames) and ``index.npz``.
    """

    folder: Path
    _names: list[str] = field(default_factory=list)
    _groups: list[str] = field(default_factory=list)
    _voices: dict[int, list[list[Clip]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.folder / "index.npz").is_file():
            raise InputError(
                "speech_missing", f"There is no packed speech in {self.folder}; make it with pack_speech."
            )
        with np.load(self.folder / "index.npz", allow_pickle=False) as index:
            self._index = {name: index[name] for name in index.files}
        self._names = [str(name) for name in self._index["names"]]
        self._groups = [str(name) for name in self._index["groups"]]
        self._samples = np.memmap(self.folder / "samples.i16", dtype=np.int16, mode="r")
        self._loudness = np.memmap(self.folder / "loudness.i8", dtype=np.int8, mode="r")
        order = np.argsort(self._index["speaker"], kind="stable")
        bounds = np.searchsorted(self._index["speaker"][order], np.arange(len(self._names) + 1))
        self._rows = [order[a:b] for a, b in pairwise(bounds)]

    @property
    def names(self) -> Sequence[str]:
        """The speakers."""
        return self._names

    @property
    def groups(self) -> Sequence[str]:
        """The group of each speaker."""
        return self._groups

    def open_voice(self, number: int, rng: np.random.Generator, enough_s: float) -> Voice:
        """Return a speaker in a session drawn by how much speech it has, clips in random order up to enough."""
        sessions = self._sessions(number)
        sizes = np.array([sum(clip.speech_frames for clip in clips) for clips in sessions], np.float64)
        clips = sessions[int(rng.choice(len(sessions), p=sizes / sizes.sum()))]
        chosen: list[Clip] = []
        frames = 0
        for at in rng.permutation(len(clips)):
            chosen.append(clips[at])
            frames += clips[at].speech_frames
            if frames >= enough_s * 100:
                break
        return Voice(self._names[number], tuple(chosen), self._groups[number])

    def samples(self, clip: Clip) -> Samples:
        """Return (N,) at 16 kHz of a clip."""
        start = int(self._index["start"][clip.key])
        stored = self._samples[start : start + int(self._index["size"][clip.key])]
        return np.asarray(stored, dtype=np.float32) * np.float32(1.0 / _INT16)

    def _sessions(self, number: int) -> list[list[Clip]]:
        """Return the clips of each session of a speaker, made on first use."""
        if number not in self._voices:
            sessions: dict[str, list[Clip]] = {}
            for key in self._rows[number]:
                sessions.setdefault(str(self._index["session"][key]), []).append(self._clip(int(key)))
            self._voices[number] = list(sessions.values())
        return self._voices[number]

    def _clip(self, key: int) -> Clip:
        first, count = int(self._index["first_span"][key]), int(self._index["spans"][key])
        frame = int(self._index["first_frame"][key])
        n_frames = int(self._index["size"][key]) // 160
        return Clip(
            key,
            self._index["span"][first : first + count],
            np.asarray(self._loudness[frame : frame + n_frames]),
            float(self._index["level"][key]),
        )


def pack_speech(
    speakers: Iterable[SpeakerFiles],
    folder: Path,
    max_speaker_s: float = 120.0,
    progress: Callable[[int], None] | None = None,
) -> Counter[str]:
    """Write speech for a `PackedLibrary` and return why files were left out.

    An hour of speech takes 115 MB and about 10 s of one core, most of it decoding.

    Args:
        speakers: whose speech.
        folder: made when absent; existing packed speech is replaced.
        max_speaker_s: of speech per speaker; sessions take turns until it is reached.
        progress: called with the number of speakers done.

    Raises:
        InputError: ``speech_missing`` when no file holds speech.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[NDArray[np.generic] | float | int | str]] = {name: [] for name in _COLUMNS}
    spans: list[NDArray[np.int32]] = []
    names: list[str] = []
    groups: list[str] = []
    left_out: Counter[str] = Counter()
    at = {"start": 0, "first_frame": 0, "first_span": 0}
    with (folder / "samples.i16").open("wb") as samples_out, (folder / "loudness.i8").open("wb") as loud_out:
        for done, speaker in enumerate(speakers, 1):
            spoken_s = 0.0
            for session, path in _in_turns(speaker.sessions):
                if spoken_s >= max_speaker_s:
                    left_out["over_the_speaker_cap"] += 1
                    continue
                try:
                    samples = load(path, limits=_LIMITS).samples
                except InputError as error:
                    left_out[error.code] += 1
                    continue
                clip = listen(samples)
                if not clip.speech_frames:
                    left_out["no_speech"] += 1
                    continue
                if not spoken_s:
                    names.append(speaker.name)
                    groups.append(speaker.group)
                spoken_s += clip.speech_frames / 100
                stored = np.rint(np.clip(samples, -1.0, 1.0) * _INT16).astype("<i2")
                samples_out.write(stored.tobytes())
                loud_out.write(clip.loudness_db.tobytes())
                row = (at["start"], stored.size, len(names) - 1, session, at["first_span"], len(clip.spans))
                for name, value in zip(_COLUMNS, (*row, at["first_frame"], clip.level), strict=True):
                    rows[name].append(value)
                spans.append(clip.spans)
                at["start"] += stored.size
                at["first_frame"] += clip.loudness_db.size
                at["first_span"] += len(clip.spans)
            if progress is not None:
                progress(done)
    if not names:
        raise InputError(
            "speech_missing", f"No speech was found in any of the files ({dict(left_out)}); give others."
        )
    columns = {name: np.asarray(values) for name, values in rows.items()}
    np.savez(
        folder / "index.npz",
        names=np.asarray(names, np.str_),
        groups=np.asarray(groups, np.str_),
        span=np.concatenate(spans),
        **columns,  # type: ignore[arg-type]  # numpy's stub takes a flag of its own for one of them
    )
    return left_out


def _in_turns(sessions: Mapping[str, tuple[Path, ...]]) -> list[tuple[str, Path]]:
    """Return (session, path) with the sessions taking turns."""
    longest = max((len(paths) for paths in sessions.values()), default=0)
    return [(name, paths[at]) for at in range(longest) for name, paths in sessions.items() if at < len(paths)]


def check_library(library: Library, needed: int) -> None:
    """Refuse a library with fewer speakers than are needed. Raises: InputError: ``too_few_speakers``."""
    if len(library.names) < needed:
        raise InputError(
            "too_few_speakers",
            f"The speech given has {len(library.names)} speakers; {needed} are to talk with each other; "
            "add speakers or ask for fewer.",
        )
