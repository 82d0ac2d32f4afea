"""`python -m tckr`: the same as `tckr`."""

from __future__ import annotations

from tckr.cli import main

if __name__ == "__main__":
    main()
