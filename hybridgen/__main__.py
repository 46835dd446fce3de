"""python -m hybridgen"""

import sys

from hybridgen.cli import main

sys.exit(main())
