"""``python -m voxid`` is the ``voxid`` command."""

import sys

from voxid.cli import main

if __name__ == "__main__":
    sys.exit(main())
