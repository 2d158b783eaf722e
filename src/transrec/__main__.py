"""``python -m transrec`` is the command line."""

from transrec.cli import main

if __name__ == "__main__":
    main()
