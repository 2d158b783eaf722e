"""Classes of people's own, found by their import path."""

from __future__ import annotations

import importlib
from typing import TypeVar

from transrec.errors import ModelError

Contract = TypeVar("Contract")


def class_at(path: str, contract: type[Contract], *, where: str | None = None) -> type[Contract]:
    """The class at an import path such as ``"package.module:Class"``.

    Args:
        path: what to import; importing a module runs its code.
        contract: what the class has to inherit from.
        where: the setting that says so; the path itself when None.

    Raises:
        ModelError: there is nothing there, or it does not inherit from the contract.
    """
    module_name, colon, class_name = path.partition(":")
    where, kind = where or path, contract.__name__
    if not (module_name and colon and class_name):
        raise ModelError(f"{path!r} is not an import path", where=where, remedy="write package.module:Class")
    try:
        found: object = importlib.import_module(module_name)
        for part in class_name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"the {kind} {path} cannot be imported: {error}",
            where=where,
            remedy="install the package that has it, or put its folder on PYTHONPATH; a class made inside a function, a "
            "notebook or __main__ cannot be found again, put it into a module",
        ) from None
    if not (isinstance(found, type) and issubclass(found, contract)):
        raise ModelError(f"{path} is not a {kind}", where=where, remedy=f"let the class inherit from {kind}")
    return found
