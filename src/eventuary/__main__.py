"""``python -m eventuary`` is the command ``eventuary``."""

from eventuary.cli import main

if __name__ == "__main__":
    main()
