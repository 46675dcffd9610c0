"""Which voices of a recording are one person, and how many people there are.

One interface, :func:`cluster`, and these methods by name (``DiarizeOptions.clustering``,
``voxid who --clustering NAME``):

    name                what it does                                                     source
    auto                ahc for little speech, else vbx or nme-sc; the default
    ahc                 average linkage, cosine, down to a threshold                     Sell and Garcia-Romero 2014
    ahc-complete        the same by the least alike pair: small, tight clusters          Defays 1977
    ahc-centroid        the same by the clusters' centroids                              Sokal and Michener 1958
    ahc-plda, ahc-complete-plda, ahc-centroid-plda
                        the same with PLDA log-likelihood ratios for cosines             Burget et al. 2011
    spectral            graph of nearest neighbours, count by the eigengap               von Luxburg 2007
    nme-sc              the same, neighbours chosen by the normalised maximum eigengap   Park et al. 2020
    vbx                 AHC, then a Bayesian hidden Markov model over PLDA vectors       Landini et al. 2022
    k-means             on the sphere, for a count that is given; else refines ahc       Dhillon and Modha 2001

Common to all: long recordings in two levels (``levels``), minor clusters merged and the caller's bounds met
(``bounds``), voices of one chunk kept apart (``constraint``), a count with a confidence (``confidence``).
"""

from voxid.diarize.clustering.cluster import METHODS, cluster
from voxid.diarize.clustering.options import ClusterOptions, check_method
from voxid.diarize.clustering.voices import Clustering, Voices, cluster_means, unit_rows

__all__ = [
    "METHODS",
    "ClusterOptions",
    "Clustering",
    "Voices",
    "check_method",
    "cluster",
    "cluster_means",
    "unit_rows",
]
