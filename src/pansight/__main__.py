"""`python -m pansight` is `pansight`."""

from pansight.cli.main import run

if __name__ == "__main__":
    run()
