"""`python -m kakusan`."""

import sys

from .cli import main

sys.exit(main())
