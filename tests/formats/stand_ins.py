"""Classes of programs that are not installed, so that they can be pickled."""

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def pretended(*names: str) -> Iterator[list[type]]:
    """Classes of modules that are not installed, there to be pickled."""
    classes, before = [], set(sys.modules)
    for full in names:
        module, name = full.rsplit(".", 1)
        parts = module.split(".")
        for i in range(1, len(parts) + 1):
            sys.modules.setdefault(".".join(parts[:i]), types.ModuleType(".".join(parts[:i])))
        made = type(name, (), {"__module__": module})
        setattr(sys.modules[module], name, made)
        classes.append(made)
    try:
        yield classes
    finally:
        for name in set(sys.modules) - before:
            del sys.modules[name]
