"""Speech decoded and heard through once, kept as memory maps: training chunks are made of it fastest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from voxid.audio import load
from voxid.errors import InputError
from voxid.simulate.clips import HOP_SAMPLES, Clip, Voice, listen
from voxid.simulate.distortions import Samples
from voxid.simulate.libraries import READ_LIMITS, SpeakerFiles
from voxid.simulate.turntaking import FRAMES_PER_S

__all__ = ["PackedLibrary", "pack_speech"]

_INT16 = 32767.0


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
            if frames >= enough_s * FRAMES_PER_S:
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
        n_frames = int(self._index["size"][key]) // HOP_SAMPLES
        return Clip(
            key,
            self._index["span"][first : first + count],
            np.asarray(self._loudness[frame : frame + n_frames]),
            float(self._index["level"][key]),
        )


@dataclass(eq=False)
class _Packer:
    """Packed speech in the making: two files that grow, and the index of what is in them."""

    samples_out: BinaryIO
    loudness_out: BinaryIO
    names: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    spans: list[NDArray[np.int32]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    speakers: list[int] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    levels: list[float] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, speaker: SpeakerFiles, max_speaker_s: float) -> None:
        """Pack one speaker's recordings until there is enough of them."""
        spoken_s = 0.0
        for session, path in _in_turns(speaker.sessions):
            if spoken_s >= max_speaker_s:
                self.left_out["over_the_speaker_cap"] += 1
                continue
            try:
                samples = load(path, limits=READ_LIMITS).samples
            except InputError as error:
                self.left_out[error.code] += 1
                continue
            clip = listen(samples)
            if not clip.speech_frames:
                self.left_out["no_speech"] += 1
                continue
            if not spoken_s:
                self.names.append(speaker.name)
                self.groups.append(speaker.group)
            spoken_s += clip.speech_frames / FRAMES_PER_S
            self._append(clip, samples, session)

    def _append(self, clip: Clip, samples: Samples, session: str) -> None:
        self.samples_out.write(np.rint(np.clip(samples, -1.0, 1.0) * _INT16).astype("<i2").tobytes())
        self.loudness_out.write(clip.loudness_db.tobytes())
        self.sizes.append(samples.size)
        self.speakers.append(len(self.names) - 1)
        self.sessions.append(session)
        self.levels.append(clip.level)
        self.spans.append(clip.spans)

    def write_index(self, path: Path) -> None:
        """Write where everything is."""
        size = np.asarray(self.sizes, np.int64)
        spans = np.asarray([len(of) for of in self.spans], np.int64)
        np.savez(
            path,
            names=np.asarray(self.names, np.str_),
            groups=np.asarray(self.groups, np.str_),
            speaker=np.asarray(self.speakers, np.int64),
            session=np.asarray(self.sessions, np.str_),
            level=np.asarray(self.levels),
            size=size,
            start=np.cumsum(size) - size,
            first_frame=np.cumsum(size // HOP_SAMPLES) - size // HOP_SAMPLES,
            spans=spans,
            first_span=np.cumsum(spans) - spans,
            span=np.concatenate(self.spans),
        )


def pack_speech(
    speakers: Iterable[SpeakerFiles],
    folder: Path,
    max_speaker_s: float = 120.0,
    progress: Callable[[int], None] | None = None,
) -> Counter[str]:
    """Write speech for a `PackedLibrary` and return why files were left out.

    An hour of speech takes 115 MB.

    Args:
        speakers: whose speech.
        folder: made when absent; existing packed speech is replaced.
        max_speaker_s: of speech per speaker; sessions take turns until it is reached.
        progress: called with the number of speakers done.

    Raises:
        InputError: ``speech_missing`` when no file holds speech.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "samples.i16").open("wb") as samples_out, (folder / "loudness.i8").open("wb") as loud_out:
        packer = _Packer(samples_out, loud_out)
        for done, speaker in enumerate(speakers, 1):
            packer.add(speaker, max_speaker_s)
            if progress is not None:
                progress(done)
    if not packer.names:
        raise InputError(
            "speech_missing",
            f"No speech was found in any of the files ({dict(packer.left_out)}); give others.",
        )
    packer.write_index(folder / "index.npz")
    return packer.left_out


def _in_turns(sessions: Mapping[str, tuple[Path, ...]]) -> list[tuple[str, Path]]:
    """Return (session, path) with the sessions taking turns."""
    longest = max((len(paths) for paths in sessions.values()), default=0)
    return [(name, paths[at]) for at in range(longest) for name, paths in sessions.items() if at < len(paths)]
