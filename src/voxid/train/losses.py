"""Losses that turn speech into embeddings: by the speaker's class, by pairs within the batch, by a teacher."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from voxid.errors import ConfigError
from voxid.train.recipe import Loss

_FAR = 100.0  # a cosine of minus that competes with nothing


class SoftmaxLoss(nn.Module):
    """Plain cross entropy over a linear layer; the margin is ignored."""

    def __init__(self, embedding: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(embedding, classes)

    def forward(self, z: Tensor, label: Tensor, margin: float) -> Tensor:
        """z (B, D), label (B,) -> scalar."""
        return nn.functional.cross_entropy(self.linear(z), label)


class AamSoftmaxLoss(nn.Module):
    """Additive angular margin softmax: the true class must win by ``margin`` radians.

    Source: Deng et al., "ArcFace", 2019, equation 3, with the easy-margin continuation beyond pi - margin; of a
    class's ``sub_centres`` the nearest counts (Deng et al., "Sub-center ArcFace", 2020); the ``top_k`` nearest wrong
    classes come ``top_margin`` radians nearer (Zhao et al., "The SpeakIn system for VoxSRC 2021", equation 4).

    Args:
        corpora: (classes,) the corpus of each; with ``within_corpus`` only classes of the same one compete.
    """

    def __init__(self, embedding: int, classes: int, loss: Loss, corpora: Tensor | None = None) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.empty(classes * loss.sub_centres, embedding))
        nn.init.xavier_normal_(self.centres)
        self.loss = loss
        within = loss.within_corpus and corpora is not None
        self.register_buffer("corpora", corpora if within else None, persistent=False)

    def place(self, centres: Tensor) -> None:
        """Put the classes' centres (classes, D) somewhere to begin with."""
        self.centres.data.copy_(centres.repeat_interleave(self.loss.sub_centres, dim=0))

    def forward(self, z: Tensor, label: Tensor, margin: float) -> Tensor:
        """z (B, D), label (B,) -> scalar."""
        cosine = nn.functional.linear(
            nn.functional.normalize(z.float()), nn.functional.normalize(self.centres)
        )
        if self.loss.sub_centres > 1:
            cosine = cosine.view(z.shape[0], -1, self.loss.sub_centres).amax(dim=2)
        true = cosine.gather(1, label[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)
        shifted = _turn(true, margin)
        shifted = torch.where(true > math.cos(math.pi - margin), shifted, true - margin * math.sin(margin))
        if isinstance(self.corpora, Tensor):
            cosine = cosine.masked_fill(self.corpora[label][:, None] != self.corpora[None], -_FAR)
        if self.loss.top_k and margin > 0.0:
            wrong = cosine.detach().scatter(1, label[:, None], -_FAR)
            nearest = wrong.topk(min(self.loss.top_k, cosine.shape[1] - 1), dim=1).indices
            there = cosine.gather(1, nearest)
            closer = _turn(there.clamp(-1 + 1e-6, 1 - 1e-6), -self.loss.top_margin)
            cosine = cosine.scatter(1, nearest, torch.where(there > -_FAR, closer, there))
        return nn.functional.cross_entropy(
            self.loss.scale * cosine.scatter(1, label[:, None], shifted), label
        )


def _turn(cosine: Tensor, radians: float) -> Tensor:
    """Return cos(angle + radians) of the angles with these cosines."""
    return cosine * math.cos(radians) - (1 - cosine * cosine).sqrt() * math.sin(radians)


class Ge2eLoss(nn.Module):
    """Each utterance must be nearest to the mean of its speaker's other utterances in the batch.

    Source: Wan et al., "Generalized end-to-end loss for speaker verification", 2018, equations 6 and 9. The margin
    is taken from the true class's cosine. Speakers with one utterance in the batch are only impostors.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(float(scale)))
        self.offset = nn.Parameter(torch.tensor(-5.0))

    def forward(self, z: Tensor, label: Tensor, margin: float) -> Tensor:
        """z (B, D), label (B,) -> scalar."""
        z = nn.functional.normalize(z.float())
        speakers, own = torch.unique(label, return_inverse=True)
        member = nn.functional.one_hot(own, speakers.numel()).to(z.dtype)  # (B, S)
        count = member.sum(dim=0)
        total = member.T @ z
        cosine = nn.functional.linear(z, nn.functional.normalize(total))
        others = nn.functional.normalize(total[own] - z)
        true = (z * others).sum(dim=1, keepdim=True)
        logits = self.scale.clamp(min=1e-6) * cosine.scatter(1, own[:, None], true - margin) + self.offset
        usable = count[own] > 1
        return nn.functional.cross_entropy(logits[usable], own[usable]) if usable.any() else 0.0 * z.sum()


class TripletLoss(nn.Module):
    """The farthest utterance of the same speaker must be nearer than the nearest of another, by ``margin`` + 0.1.

    Source: Hermans et al., "In defense of the triplet loss", 2017, equation 5 (batch hard), soft margin, on cosines
    times ``scale``.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, z: Tensor, label: Tensor, margin: float) -> Tensor:
        """z (B, D), label (B,) -> scalar."""
        z = nn.functional.normalize(z.float())
        cosine = z @ z.T
        same = label[:, None] == label[None]
        itself = torch.eye(label.numel(), dtype=torch.bool, device=z.device)
        farthest = cosine.masked_fill(~same | itself, 2.0).amin(dim=1)
        nearest = cosine.masked_fill(same, -2.0).amax(dim=1)
        usable = (farthest < 1.5) & (nearest > -1.5)
        gap = self.scale * (nearest - farthest + margin + 0.1)[usable]
        return nn.functional.softplus(gap).mean() if usable.any() else 0.0 * z.sum()


class DistillationLoss(nn.Module):
    """One minus the cosine between the embedding, or a linear image of it, and the teacher's embedding.

    With an image of its own making the student may lay out its space otherwise than the teacher; without, its cosines
    become the teacher's.
    """

    def __init__(self, embedding: int, teacher: int, projected: bool = True) -> None:
        super().__init__()
        self.project = nn.Linear(embedding, teacher, bias=False) if projected else None

    def orthogonal(self) -> Tensor:
        """Make the image orthogonal and return its matrix (256, D), by which the teacher's space maps back."""
        if self.project is None:
            raise ConfigError("recipe_invalid", "this teacher's space is the student's own; it has no image.")
        nn.init.orthogonal_(self.project.weight)
        return self.project.weight.detach()

    def forward(self, z: Tensor, teacher: Tensor) -> Tensor:
        """z (B, D), teacher (B, 256) of unit length -> scalar in [0, 2]."""
        image = z.float() if self.project is None else self.project(z.float())
        return 1.0 - (nn.functional.normalize(image) * teacher).sum(dim=1).mean()


def build_loss(loss: Loss, embedding: int, classes: int, corpora: Tensor | None = None) -> nn.Module:
    """Return the loss over speakers a recipe names: ``aam``, ``softmax``, ``ge2e`` or ``triplet``.

    Args:
        corpora: (classes,) the corpus of each, for ``aam`` within corpora.

    Raises:
        ConfigError: ``recipe_invalid`` for another name, or a pair loss with one utterance per speaker.
    """
    if loss.name in ("ge2e", "triplet") and loss.utterances_per_speaker < 2:
        raise ConfigError(
            "recipe_invalid",
            f"loss {loss.name!r} compares utterances of one speaker; set loss.utterances_per_speaker to 2 or more.",
        )
    if loss.name == "aam":
        return AamSoftmaxLoss(embedding, classes, loss, corpora)
    if loss.name == "softmax":
        return SoftmaxLoss(embedding, classes)
    if loss.name == "ge2e":
        return Ge2eLoss(loss.scale)
    if loss.name == "triplet":
        return TripletLoss(loss.scale)
    raise ConfigError("recipe_invalid", f"loss.name is {loss.name!r}; known: aam, ge2e, softmax, triplet.")
