"""The shim's fixtures, for every module here."""

from privcmd import run, shim

__all__ = ["run", "shim"]
