"""`python -m dgmrun`."""

import sys

from dgmrun.cli import main

sys.exit(main())
