"""`python -m danet`: the `danet` command, where its script is not on the PATH."""

import sys

from danet.commands.main import main

if __name__ == "__main__":  # processes that are started by `spawn` import this file again
    sys.exit(main())
