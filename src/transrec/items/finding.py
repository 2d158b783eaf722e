"""Encoders of people's own, found by their import path."""

from __future__ import annotations

import importlib

from transrec.errors import ModelError
from transrec.items.encoder import ModalityEncoder


def encoder_class(path: str, *, where: str | None = None) -> type[ModalityEncoder]:
    """The encoder class at an import path such as ``"package.module:Class"``.

    Args:
        path: what to import.
        where: the setting that says so; the path itself when None.

    Raises:
        ModelError: there is nothing there, or it is not a :class:`ModalityEncoder`.
    """
    module_name, colon, class_name = path.partition(":")
    where = where or path
    if not (module_name and colon and class_name):
        raise ModelError(f"{path!r} is not an import path", where=where, remedy="write package.module:Class")
    try:
        found: object = importlib.import_module(module_name)
        for part in class_name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"the encoder {path} cannot be imported: {error}",
            where=where,
            remedy="install the package that has it, or put its folder on PYTHONPATH; a class made inside a function, a "
            "notebook or __main__ cannot be found again, put it into a module",
        ) from None
    if not (isinstance(found, type) and issubclass(found, ModalityEncoder)):
        raise ModelError(
            f"{path} is not a ModalityEncoder", where=where, remedy="let the class inherit from ModalityEncoder"
        )
    return found
