"""Training of the target-speech network: when one given person speaks, also under others."""

from voxid.train.target.network import TargetNetwork, TargetSize
from voxid.train.target.recipe import TargetRecipe

__all__ = ["TargetNetwork", "TargetRecipe", "TargetSize"]
