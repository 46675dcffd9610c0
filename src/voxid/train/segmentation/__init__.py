"""Training of the local segmentation network: who of up to four speaks in each 20 ms of ten seconds."""

from voxid.train.segmentation.network import SegmentationNetwork, Size
from voxid.train.segmentation.powerset import Powerset

__all__ = ["Powerset", "SegmentationNetwork", "Size"]
