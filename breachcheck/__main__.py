"""`python -m breachcheck` is the command line."""

from breachcheck.cli import main

if __name__ == "__main__":
    main()
