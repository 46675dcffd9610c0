"""Training of EEND-EDA: everybody of half a minute at once, however many there are up to six."""

from voxid.train.eend.network import AttractorSize, EendNetwork
from voxid.train.eend.recipe import EendRecipe

__all__ = ["AttractorSize", "EendNetwork", "EendRecipe"]
