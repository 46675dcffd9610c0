"""Public speaker models as bundles of one's own: ``voxid models add``, ``list``, ``remove``, ``catalogue``.

fetching    an address or a path -> a file whose hash is the one it must have
graphs      an ONNX file -> what it says of itself, without running it
formats     which toolkit it is from, and what its graph is fed
probing     the graph run for the first time, in a process with limits
adding      all of these, and a card, to a bundle
shelf       where added models stand, and which bundle a name means
catalogue   known public models
"""
