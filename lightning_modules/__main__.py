"""``python -m lightning_modules fit ...``: the command without its script."""

import sys

from lightning_modules.cli.main import main

sys.exit(main())
