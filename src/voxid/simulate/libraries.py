"""Where the speech of a conversation comes from: a folder with one folder per speaker, or a list of files."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from voxid.audio import AudioLimits, load
from voxid.errors import InputError
from voxid.simulate.clips import Clip, Library, Voice, listen
from voxid.simulate.distortions import Samples
from voxid.simulate.turntaking import FRAMES_PER_S

__all__ = ["AUDIO_SUFFIXES", "READ_LIMITS", "FileLibrary", "SpeakerFiles", "check_library"]

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".m4a"})

_KEPT_SAMPLES = 64 << 20  # decoded speech kept in memory: 256 MB
READ_LIMITS = AudioLimits(max_duration_s=3600.0)
"""A recording of one speaker may last an hour."""


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
            if sum(clip.speech_frames for clip in clips) >= enough_s * FRAMES_PER_S:
                break
        return Voice(speaker.name, tuple(clips), speaker.group)

    def samples(self, clip: Clip) -> Samples:
        """Return (N,) at 16 kHz of a clip, from memory or decoded again."""
        if clip.key not in self._kept:
            self._keep(clip.key, load(self._paths[clip.key], limits=READ_LIMITS).samples)
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
                samples = load(path, limits=READ_LIMITS).samples
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


def check_library(library: Library, needed: int) -> None:
    """Refuse a library with fewer speakers than are needed. Raises: InputError: ``too_few_speakers``."""
    if len(library.names) < needed:
        raise InputError(
            "too_few_speakers",
            f"The speech given has {len(library.names)} speakers; {needed} are to talk with each other; "
            "add speakers or ask for fewer.",
        )
