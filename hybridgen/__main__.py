"""The command hybridgen, and python -m hybridgen."""

import signal
import sys

from hybridgen import interrupts

for number in interrupts.SIGNALS:
    signal.signal(number, interrupts.exit_at_once)  # while the command line is imported


def main() -> int:
    """Runs the command line; returns the exit code."""
    from hybridgen import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
