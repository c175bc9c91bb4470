"""``python -m eventuary.demo [--keep]``: exit code 0 when all that is shown is as promised."""

import signal
import sys
from typing import NoReturn

from eventuary.demo.process import DidNotStart
from eventuary.demo.story import tell


def _end(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # Whatever asks it to end, the processes that it has started end with it.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        sys.exit(0 if tell(keep="--keep" in sys.argv[1:]) else 1)
    except DidNotStart as error:
        print(f"\n{error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
