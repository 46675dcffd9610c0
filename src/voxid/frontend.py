"""What a model's graph is fed: a bundle's ``input`` entry, and the features it asks for.

Networks are deaf to everything but the features they were trained on, and every toolkit has its own. A front end
says which ones, how loud the samples are, what mean is taken away and in what order the axes stand.

``masks`` graphs (voxid's own, and converted ones) take ``fbank`` (B, T, F) and ``weights`` (B, K, T) and return
(B, K, D). ``plain`` graphs take one input and return (B, D): a voice is then cut out before the graph, not inside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxid.errors import CompatibilityError
from voxid.features import INT16_SCALE, N_MELS, fbank
from voxid.spectrogram import speechbrain_fbank, tf_melbanks, torchaudio_melspec

Floats = NDArray[np.float32]

RATE_HZ: Final = 16_000
_HOP_SAMPLES: Final = 160

# feature kind -> function of samples and bands, and by how many frames its frames run ahead of Kaldi's: a frame of
# ours begins every 10 ms, a centred one has its middle there, 12.5 ms earlier.
_KINDS: Final[dict[str, tuple[Callable[..., Floats], int]]] = {
    "fbank": (fbank, 0),
    "speechbrain": (speechbrain_fbank, 1),
    "torchaudio": (torchaudio_melspec, 1),
    "tfmel": (tf_melbanks, 0),
}
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "features": (*_KINDS, "waveform"),
    "scale": ("int16", "unit"),
    "window": ("povey", "hamming", "hanning", "blackman", "rectangular"),
    "mean": ("pooled frames", "utterance", "none"),
    "layout": ("masks", "plain"),
    "axes": ("BTF", "BFT", "B1FT", "BN"),
}


@dataclass(frozen=True)
class FrontEnd:
    """A bundle's ``input`` entry; what is left out of a card means what stands here.

    Attributes:
        features: ``fbank`` (Kaldi's), ``speechbrain``, ``torchaudio``, ``tfmel`` (see ``voxid.spectrogram``), or
            ``waveform``: the samples themselves.
        mels: bands per frame.
        rate_hz: always 16,000.
        scale: samples in [-1, 1] (``unit``) or times 32,768 (``int16``).
        window: analysis window of ``fbank``; the other kinds have their own.
        mean: taken away per band: of all frames pooled over in a chunk, of all frames the graph is given at once, or
            nothing. For one voice of a recording the first two are one.
        dither: always 0: the same recording must give the same embedding.
        margin_frames: what was kept around speech when the model was measured.
        layout: ``masks`` or ``plain``.
        axes: order of the input's axes of a plain graph: B batch, T frames, F bands, N samples.
        input, output: names of a plain graph's input and output; empty takes the only ones.
        min_frames: shorter speech is repeated up to it.
        max_frames: longer speech goes through the graph in pieces; 0 for no limit of its own.
        multiple_of_frames: the end is cut to a multiple of it.
        batch: voices of equal length a plain graph takes at once.
    """

    features: str = "fbank"
    mels: int = 80
    rate_hz: int = RATE_HZ
    scale: str = "int16"
    window: str = "povey"
    mean: str = "pooled frames"
    dither: float = 0.0
    margin_frames: int = 15
    layout: str = "masks"
    axes: str = "BTF"
    input: str = ""
    output: str = ""
    min_frames: int = 0
    max_frames: int = 0
    multiple_of_frames: int = 1
    batch: int = 1

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise _refusal(name, getattr(self, name), f"one of {', '.join(allowed)}")
        if self.rate_hz != RATE_HZ:
            raise _refusal("rate_hz", self.rate_hz, "16000, the only rate voxid hears at")
        if self.dither != 0.0:
            raise _refusal("dither", self.dither, "0: with noise added, one recording has many embeddings")
        for name, low, high in (
            ("mels", 8, 256),
            ("margin_frames", 0, 1_000),
            ("min_frames", 0, 3_000),
            ("max_frames", 0, 100_000),
            ("multiple_of_frames", 1, 64),
            ("batch", 1, 256),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise _refusal(name, value, f"a whole number from {low} to {high}")
        if 0 < self.max_frames < max(self.min_frames, 20):
            raise _refusal("max_frames", self.max_frames, "0, or at least min_frames and 20")
        if (self.features == "waveform") != (self.axes == "BN"):
            raise _refusal("axes", self.axes, "BN for a waveform and only for it")
        if self.layout == "masks" and (self.features == "waveform" or self.axes != "BTF"):
            raise _refusal("layout", self.layout, "plain, because masks need frames of axes BTF")

    @classmethod
    def from_card(cls, entry: Mapping[str, Any]) -> FrontEnd:
        """Return the front end of a card's ``input`` entry.

        Raises:
            CompatibilityError: ``front_end_invalid`` for a key or value this version does not know: ignored, it
                would change every embedding unseen.
        """
        unknown = sorted(set(entry) - {field.name for field in fields(cls)})
        if unknown:
            raise _refusal("entry", unknown[0], f"one of {', '.join(sorted(f.name for f in fields(cls)))}")
        try:
            return cls(**entry)
        except TypeError as error:
            raise _refusal("entry", error, "a mapping of names to values") from error

    def to_card(self) -> dict[str, Any]:
        """Return the ``input`` entry, with every value spelled out."""
        return asdict(self)

    @property
    def is_kaldi(self) -> bool:
        """Whether the features are those of ``voxid.features.fbank`` as it is by default."""
        return (self.features, self.mels, self.scale, self.window) == ("fbank", N_MELS, "int16", "povey")

    def features_of(self, samples: Floats) -> Floats:
        """Return (T', F) frames, or (N,) samples for a waveform, before any mean is taken away.

        Args:
            samples: (N,) float32 in [-1, 1], 16 kHz, at least 25 ms.
        """
        factor = INT16_SCALE if self.scale == "int16" else 1.0
        if self.features == "waveform":
            return np.asarray(samples, dtype=np.float32) * np.float32(factor)
        make, _ = _KINDS[self.features]
        if self.features == "fbank":
            make = partial(make, window=self.window, scale=factor)
        elif self.scale == "int16":
            samples = samples * np.float32(factor)
        return make(samples, mels=self.mels)

    def align(self, masks: Floats, x: Floats) -> Floats:
        """Return masks over ``frame_count(N)`` frames, (K, T), as masks over what ``features_of`` gave.

        Returns:
            (K, T') over its frames, or (K, ceil(N / 160)) over the 10 ms cells of a waveform.
        """
        if self.features == "waveform":
            wanted, lead = -(-x.size // _HOP_SAMPLES), 0
        else:
            wanted, lead = x.shape[0], _KINDS[self.features][1]
        if wanted == masks.shape[1] and lead == 0:
            return masks
        return masks[:, np.clip(np.arange(wanted) - lead, 0, masks.shape[1] - 1)]

    def select(self, x: Floats, mask: NDArray[np.bool_]) -> Floats:
        """Return the frames of ``x`` where ``mask``, as ``align`` gave it, is true; of a waveform its samples."""
        if self.features == "waveform":
            return x[np.repeat(mask, _HOP_SAMPLES)[: x.size]]
        return x[mask]

    def pieces(self, x: Floats, longest_frames: int) -> list[Floats]:
        """Return ``x`` in parts of equal length, none much longer than ``longest_frames`` or over ``max_frames``."""
        unit = _HOP_SAMPLES if self.features == "waveform" else 1
        n_frames = x.shape[0] / unit
        count = max(1, round(n_frames / longest_frames))
        if self.max_frames:
            count = max(count, int(np.ceil(n_frames / self.max_frames)))
        return np.array_split(x, count)

    def normalised(self, x: Floats, weights: Floats) -> Floats:
        """Return frames minus the mean this front end takes away.

        Args:
            x: (T', F); a waveform comes back as it is.
            weights: (T',) above 0 where frames are pooled over.
        """
        if self.features == "waveform" or self.mean == "none":
            return x
        over = weights if self.mean == "pooled frames" else None
        return np.asarray(x - np.average(x, axis=0, weights=over).astype(np.float32), dtype=np.float32)

    def arranged(self, x: Floats, *, centred: bool = False) -> Floats:
        """Return one cut-out voice as a plain graph's input with a batch of 1, its mean taken away.

        Speech shorter than ``min_frames`` is repeated; the end is cut to ``multiple_of_frames``.

        Args:
            x: frames (T', F) or samples (N,).
            centred: the mean was taken away before the voice was cut out.
        """
        unit = _HOP_SAMPLES if self.features == "waveform" else 1
        if not centred:
            x = self.normalised(x, np.ones(x.shape[0], np.float32))
        if x.shape[0] < self.min_frames * unit:
            x = np.resize(x, (self.min_frames * unit, *x.shape[1:]))
        step = self.multiple_of_frames * unit
        if self.multiple_of_frames > 1 and x.shape[0] >= step:
            x = x[: x.shape[0] // step * step]
        if self.axes in ("BFT", "B1FT"):
            x = np.ascontiguousarray(x.T)
        return x[None, None] if self.axes == "B1FT" else x[None]


def _refusal(name: str, value: object, expected: str) -> CompatibilityError:
    return CompatibilityError(
        "front_end_invalid",
        f"the front end's {name} is {value!r}; expected {expected}. Correct --front-end or the card's input entry.",
    )
