"""`python -m cli` is `nifos`."""

from cli.main import main

if __name__ == "__main__":
    main()
