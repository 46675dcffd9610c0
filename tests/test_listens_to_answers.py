"""Spoken digits and words are heard, offline; whatever hears is asked in one way."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pocketsphinx", reason="the extra challenge is not installed")

from voices import noise
from voxid.audio import load
from voxid.errors import ConfigError, InputError
from voxid.spoof.challenge import Challenge
from voxid.spoof.listening import WhisperListener, default_listener, words_in

ANSWERS = Path(__file__).parent / "fixtures" / "answers"
LATER = datetime(2027, 1, 1, tzinfo=UTC)


def asked(words: str) -> Challenge:
    """Return a challenge to say digits or words."""
    digits = words.isdigit()
    return Challenge(
        "0" * 32, tuple(words if digits else words.split("-")), LATER, "digits" if digits else "words"
    )


@pytest.mark.parametrize("answer", ["ada_634986", "ada_170296", "ada_chimney-finger-honey-rabbit"])
def test_hears_what_is_said(answer: str) -> None:
    """A clear voice is understood, digits and words; the listener is asked what kind and how many, not which."""
    said = answer.partition("_")[2]
    challenge = asked(said)
    samples = load(ANSWERS / f"{answer}.opus").samples
    heard = default_listener().hear(samples, challenge)
    assert challenge.answered_by(heard.said), heard
    assert 0.0 < heard.confidence <= 1.0
    other = asked("-".join(["zebra"] * 4) if "-" in said else "555555")
    assert default_listener().hear(samples, other) == heard
    assert not other.answered_by(heard.said)


def test_hears_what_a_noise_gate_let_through() -> None:
    """Pauses of exact zeros, as gates and cut recordings have them, change nothing."""
    samples = load(ANSWERS / "ada_634986.opus").samples
    frames = samples[: len(samples) // 400 * 400].reshape(-1, 400)
    power = np.square(frames).mean(axis=1)
    gated = np.where((power > power.max() * 1e-3)[:, None], frames, np.float32(0)).ravel()
    assert (gated == 0).mean() > 0.1
    answer = np.concatenate([np.zeros(16_000, np.float32), gated, np.zeros(16_000, np.float32)])
    assert default_listener().hear(answer, asked("634986")).said == tuple("634986")


def test_hears_nothing_in_the_order_it_is_asked() -> None:
    """What was heard before does not change what is heard now."""
    first, second = (load(ANSWERS / f"ada_{said}.opus").samples for said in ("634986", "170296"))
    listener = default_listener()
    alone = listener.hear(second, asked("170296"))
    listener.hear(0.1 * first, asked("634986"))
    assert listener.hear(second, asked("170296")) == alone


def test_silence_says_nothing_and_a_speech_is_no_answer() -> None:
    """No words in silence; half a minute and more is refused before anything listens."""
    assert default_listener().hear(np.zeros(16_000, np.float32), asked("634986")).said == ()
    with pytest.raises(InputError, match="expected the words alone, 30 s at most") as refused:
        default_listener().hear(noise(30.5), asked("634986"))
    assert refused.value.code == "audio_too_long"


def test_transcripts_are_read_as_digits_or_words() -> None:
    """Numbers written together, in words or with stops; what is no digit counts as wrong."""
    assert words_in("634-986.", "digits") == tuple("634986")
    assert words_in("Six, three, four. Nine eight oh", "digits") == tuple("634980")
    assert words_in("six tree 4", "digits") == ("6", "tree", "4")
    assert words_in("Chimney. Finger, honey rabbit!", "words") == ("chimney", "finger", "honey", "rabbit")


def test_the_extra_is_named_where_it_is_missing() -> None:
    """Without pocketsphinx a coded error says what to install; nothing else needs it."""
    code = (
        "import sys; sys.modules['pocketsphinx'] = None\n"
        "from voxid.spoof.listening import default_listener\n"
        "from voxid.errors import ConfigError\n"
        "try: default_listener()\n"
        "except ConfigError as error: print(error.code, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("challenge_extra_missing")
    assert "pip install 'voxid[challenge]'" in done.stdout


def test_whisper_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without faster-whisper a coded error says what to install."""
    whisper_folder(tmp_path)
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(ConfigError, match="pip install faster-whisper") as missing:
        WhisperListener(tmp_path)
    assert missing.value.code == "listener_missing"


@pytest.mark.parametrize("given", ["small", "absent", "file"])
def test_no_whisper_model_is_fetched(given: str, tmp_path: Path) -> None:
    """A name, for which faster-whisper would ask the network, a folder that is not there, a file: refused."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"holds no model\.bin and no tokenizer\.json; expected") as missing:
        WhisperListener(given if given == "small" else tmp_path / given)
    assert missing.value.code == "listener_model_missing"
    whisper_folder(tmp_path, "model.bin")
    with pytest.raises(InputError, match=r"holds no tokenizer\.json; expected a folder with a Whisper model"):
        WhisperListener(tmp_path)


def test_a_broken_whisper_model_is_named(tmp_path: Path) -> None:
    """What faster-whisper cannot read is a coded error, in its words."""
    pytest.importorskip("faster_whisper", reason="faster-whisper is not installed, and comes with no extra")
    whisper_folder(tmp_path)
    with pytest.raises(InputError, match="cannot read the model in") as broken:
        WhisperListener(tmp_path)
    assert broken.value.code == "listener_model_invalid"


def whisper_folder(folder: Path, *names: str) -> None:
    """Make files as a Whisper model has them, with nothing of use inside."""
    for name in names or ("model.bin", "tokenizer.json"):
        (folder / name).write_bytes(b"")
