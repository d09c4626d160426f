"""``python -m lightning_modules fit ...``"""

import sys

from lightning_modules.cli import main

sys.exit(main())
