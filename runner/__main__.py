"""`python -m runner` is the command `n8n-runner`."""

import sys

from runner.cli import main

sys.exit(main())
