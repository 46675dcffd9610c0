"""Training of embedding bundles: the only room that imports PyTorch (extra ``train``)."""

from voxid.train.recipe import Recipe, load_recipe
from voxid.train.run import run

__all__ = ["Recipe", "load_recipe", "run"]
