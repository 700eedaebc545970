"""`python -m kakusan`."""

import sys

from kakusan.cli import main

sys.exit(main())
