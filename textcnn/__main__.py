"""``python -m textcnn`` is the command ``textcnn``."""

import sys

from textcnn.cli import main

sys.exit(main())
