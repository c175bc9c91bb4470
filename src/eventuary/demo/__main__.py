"""``python -m eventuary.demo``: exit code 0 when everything shown turned out as promised."""

import sys

from eventuary.demo.story import tell

if __name__ == "__main__":
    try:
        sys.exit(0 if tell() else 1)
    except KeyboardInterrupt:
        sys.exit(130)
