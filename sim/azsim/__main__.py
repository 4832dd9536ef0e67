"""`python -m azsim` is the `azsim` command."""

from azsim.cli import main

if __name__ == "__main__":
    main()
