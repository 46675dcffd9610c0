"""What is said in answer to a challenge: the digits or words heard, by whatever recogniser is at hand.

PocketSphinx, offline and in English, comes with the extra ``challenge``; its model (BSD licence) lies inside its wheel,
nothing is fetched. Any object with :meth:`Listener.hear` can stand in its place.
"""

from __future__ import annotations

import math
import re
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from voxid.audio import SAMPLE_RATE_HZ
from voxid.errors import ConfigError, InputError
from voxid.spoof.challenge import DIGITS, WORDS, Challenge, ChallengeKind

__all__ = ["MOST_ANSWER_S", "Heard", "Listener", "SphinxListener", "WhisperListener", "default_listener"]

MOST_ANSWER_S: Final = 30.0
"""A longer recording is no answer to a challenge of a few words."""

_SPOKEN: Final = "zero one two three four five six seven eight nine".split()
_DIGIT_OF: Final = {**dict(zip(_SPOKEN, DIGITS, strict=True)), "oh": "0"}
_PEAK: Final = 0.7

_FLOOR_DB: Final = -35.0
"""Noise that is laid under an answer, from its speech. A gate, a codec or a cut leaves zeros, which speech trained on
microphones has none of; their log energies shift the mean that is taken off all frames."""

_FRAME_SAMPLES: Final = 400
_SPOKEN_DB: Final = 30.0  # frames so far under the loudest one are pauses
_WHISPER_FILES: Final = ("model.bin", "tokenizer.json")


@dataclass(frozen=True)
class Heard:
    """What a listener made of an answer.

    Args:
        said: "0" to "9", or words; empty where nothing fits.
        confidence: 0 to 1, of the listener in all of it; how much it is worth differs between listeners.
    """

    said: tuple[str, ...]
    confidence: float


class Listener(Protocol):
    """Whatever hears digits and words. Threads may share it."""

    def hear(self, samples: NDArray[np.float32], challenge: Challenge) -> Heard:
        """Return what is said.

        Args:
            samples: (N,) float32 at 16 kHz, 30 s at most.
            challenge: tells what kind of words, and how many, are to be expected; not which.

        Raises:
            InputError: ``audio_too_long``.
        """


class SphinxListener:
    """English digits and words by PocketSphinx, held to a grammar of exactly as many as were asked for.

    A grammar takes everything for its words: that somebody speaks at all is for speech detection to say. Each recording
    is heard as if it were the first; nothing of one is left for the next.

    Raises:
        ConfigError: ``challenge_extra_missing``.

    Source: Huggins-Daines et al., "PocketSphinx", ICASSP 2006.
    """

    def __init__(self) -> None:
        try:
            import pocketsphinx
        except ModuleNotFoundError as error:
            raise ConfigError(
                "challenge_extra_missing",
                "Spoken challenges are heard by pocketsphinx, which is not installed; run: pip install "
                "'voxid[challenge]'.",
            ) from error
        pocketsphinx.set_loglevel("FATAL")
        self._lock = threading.Lock()
        self._decoder: Any = pocketsphinx.Decoder(lm=None, samprate=SAMPLE_RATE_HZ, silprob=0.1, cmn="batch")
        self._grammars: set[str] = set()

    def hear(self, samples: NDArray[np.float32], challenge: Challenge) -> Heard:
        """Return what is said; as :meth:`Listener.hear`."""
        _check_length(samples)
        peak = float(np.abs(samples).max(initial=0.0))
        if peak == 0.0:
            return Heard((), 0.0)
        pcm = np.asarray(_floored(samples) * np.float32(_PEAK / peak * 32_767), np.int16).tobytes()
        with self._lock:
            decoder = self._decoder
            decoder.reinit_feat()  # else it would subtract what it learnt of earlier recordings
            decoder.activate_search(self._grammar(challenge.kind, len(challenge.words)))
            decoder.start_utt()
            decoder.process_raw(pcm, full_utt=True)
            decoder.end_utt()
            found = decoder.hyp()
        words = [] if found is None else found.hypstr.split()
        if len(words) != len(challenge.words):
            return Heard((), 0.0)
        said = tuple(_DIGIT_OF.get(word, word) for word in words)
        return Heard(said, min(1.0, max(0.0, float(found.prob))) ** (1 / len(said)))

    def _grammar(self, kind: ChallengeKind, n_words: int) -> str:
        """Return the name of the grammar for so many words, made on first use. A loop would put digits in pauses."""
        name = f"{kind}{n_words}"
        if name not in self._grammars:
            choice = " | ".join(_DIGIT_OF if kind == "digits" else WORDS)
            rule = " ".join(["<word>"] * n_words)
            self._decoder.add_jsgf_string(
                name, f"#JSGF V1.0; grammar {name}; <word> = {choice}; public <answer> = {rule};"
            )
            self._grammars.add(name)
        return name


class WhisperListener:
    """Digits and words by a Whisper model under faster-whisper, which hears more accents and costs more time.

    No model comes with voxid, and none is fetched: faster-whisper itself would, for a name, or for a folder without
    its tokenizer.

    Args:
        folder: of a model as CTranslate2 has it: ``model.bin``, ``tokenizer.json`` and what else belongs to it.
        language: spoken; the words of a challenge are English.

    Raises:
        ConfigError: ``listener_missing``. InputError: ``listener_model_missing``, ``listener_model_invalid``.
    """

    def __init__(self, folder: str | Path, language: str = "en") -> None:
        missing = [name for name in _WHISPER_FILES if not (Path(folder) / name).is_file()]
        if missing:
            raise InputError(
                "listener_model_missing",
                f"{folder} holds no {' and no '.join(missing)}; expected a folder with a Whisper model for "
                "CTranslate2: fetch one beforehand, for nothing is fetched here.",
            )
        try:
            from faster_whisper import WhisperModel
        except ModuleNotFoundError as error:
            raise ConfigError(
                "listener_missing",
                "This listener runs Whisper models by faster-whisper, which is not installed; run: pip install "
                "faster-whisper.",
            ) from error
        try:
            self._model: Any = WhisperModel(
                str(folder), device="cpu", compute_type="int8", local_files_only=True
            )
        except Exception as error:  # CTranslate2 and tokenizers raise their own unrelated classes
            raise InputError(
                "listener_model_invalid",
                f"faster-whisper cannot read the model in {folder} ({str(error)[:200]}); get it again.",
            ) from error
        self._language = language

    def hear(self, samples: NDArray[np.float32], challenge: Challenge) -> Heard:
        """Return what is said; as :meth:`Listener.hear`."""
        _check_length(samples)
        parts, _ = self._model.transcribe(samples, language=self._language, temperature=0.0)
        heard = [(part.text, float(part.avg_logprob)) for part in parts]
        said = words_in(" ".join(text for text, _ in heard), challenge.kind)
        return Heard(said, math.exp(min(logprob for _, logprob in heard)) if said else 0.0)


def words_in(transcript: str, kind: ChallengeKind) -> tuple[str, ...]:
    """Return the digits or words of a transcript, however they are written; other words stay, and are wrong.

    Example:
        >>> words_in("Four, one 70 oh.", "digits"), words_in("Amber, zebra!", "words")
        (('4', '1', '7', '0', '0'), ('amber', 'zebra'))
    """
    if kind == "words":
        return tuple(re.findall(r"[a-z']+", transcript.lower()))
    return tuple(_DIGIT_OF.get(word, word) for word in re.findall(r"\d|[a-z']+", transcript.lower()))


@lru_cache(maxsize=1)
def default_listener() -> SphinxListener:
    """Return the listener that comes with the extra ``challenge``, loaded once.

    Raises:
        ConfigError: ``challenge_extra_missing``.
    """
    return SphinxListener()


def _floored(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an answer that is not silent, with white noise under it; the same for the same answer."""
    frames = np.resize(samples, (-(-len(samples) // _FRAME_SAMPLES), _FRAME_SAMPLES))
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    spoken = power[power > power.max() * 10 ** (-_SPOKEN_DB / 10)].mean()
    noise = np.random.default_rng(0).standard_normal(len(samples), np.float32)
    return samples + noise * np.float32(np.sqrt(spoken * 10 ** (_FLOOR_DB / 10)))


def _check_length(samples: NDArray[np.float32]) -> None:
    length_s = len(samples) / SAMPLE_RATE_HZ
    if length_s > MOST_ANSWER_S:
        raise InputError(
            "audio_too_long",
            f"The answer lasts {length_s:.1f} s; expected the words alone, {MOST_ANSWER_S:g} s at most.",
        )
