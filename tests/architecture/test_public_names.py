"""The public names: there, documented, and classes that are abstract or final."""

import enum
import functools
import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

import pytest

import transrec
from transrec.errors import TransRecError
from transrec.settings import Settings

# A class that derives from one that is not abstract, as an exception, with its reason (docs/principles.md).
DERIVES_FROM_FINAL: dict[str, str] = {}


@functools.cache
def modules() -> tuple[ModuleType, ...]:
    found = pkgutil.walk_packages(transrec.__path__, "transrec.")
    return tuple(importlib.import_module(info.name) for info in found if not info.name.endswith("__main__"))


def own_members(module: ModuleType) -> list[tuple[str, Any]]:
    """What a module defines itself under a public name: classes and functions."""
    return [
        (name, value)
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    ]


def own_classes() -> list[type]:
    return [value for module in modules() for _, value in own_members(module) if inspect.isclass(value)]


def protocols() -> list[type]:
    return [cls for cls in own_classes() if vars(cls).get("_is_protocol", False)]


def contracts_of(cls: type) -> list[type]:
    """What a class derives from, and the protocols of this package that it satisfies without deriving from them."""
    methods = {p: [name for name in vars(p) if not name.startswith("_")] for p in protocols()}
    structural = [p for p, names in methods.items() if p is not cls and all(hasattr(cls, name) for name in names)]
    return [*cls.__mro__[1:], *structural]


def undocumented_methods(cls: type) -> list[str]:
    """Public methods and properties that neither have a docstring nor fulfil a contract that has."""
    missing = []
    for name, value in vars(cls).items():
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", getattr(value, "func", value))
        if name.startswith("_") or not inspect.isfunction(function) or function.__module__ != cls.__module__:
            continue
        told = any(getattr(vars(contract).get(name), "__doc__", None) for contract in contracts_of(cls))
        # torch documents `forward` as a hook and not as a method of nn.Module
        if not function.__doc__ and not told and name not in ("forward", "extra_repr"):
            missing.append(f"{cls.__qualname__}.{name}")
    return missing


def test_every_public_name_is_there_and_documented() -> None:
    assert transrec.__all__, "transrec declares no public names"
    for name in transrec.__all__:
        value = getattr(transrec, name)
        if name.startswith("__"):
            continue
        assert inspect.getdoc(value), f"transrec.{name} has no docstring"


def test_public_names_are_sorted_and_listed_by_dir() -> None:
    assert sorted(transrec.__all__, key=str.lower) == sorted(set(transrec.__all__), key=str.lower)
    assert set(transrec.__all__) <= set(dir(transrec))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        transrec.no_such_name  # noqa: B018


def test_classes_functions_and_methods_are_documented() -> None:
    missing = []
    for module in modules():
        for name, value in own_members(module):
            if not value.__doc__ or value.__doc__.startswith(f"{name}("):  # a dataclass writes its own signature
                missing.append(f"{module.__name__}.{name}")
            if inspect.isclass(value):
                missing += [f"{module.__name__}.{method}" for method in undocumented_methods(value)]
    assert not missing, "without a docstring:\n" + "\n".join(missing)


def test_classes_are_abstract_or_final() -> None:
    ours = set(own_classes())
    wrong = []
    for cls in ours:
        if issubclass(cls, TransRecError | enum.Enum) or cls is Settings or cls.__qualname__ in DERIVES_FROM_FINAL:
            continue  # a tree of errors is made of classes to catch; Settings is the root of every group of settings
        for parent in cls.__mro__[1:]:
            protocol = vars(parent).get("_is_protocol", False)
            if parent in ours and parent is not Settings and not inspect.isabstract(parent) and not protocol:
                wrong.append(
                    f"{cls.__module__}.{cls.__qualname__} derives from {parent.__qualname__}, which is not abstract"
                )
    assert not wrong, "\n".join(sorted(wrong))


def test_class_names_say_what_they_are() -> None:
    vague = ("Manager", "Helper", "Processor", "Handler", "Base", "Utils")
    names = [cls.__qualname__ for cls in own_classes()]
    wrong = [name for name in names if name.endswith(vague) or name.startswith("Base")]
    assert not wrong, f"{wrong}: a class is named after what it is in the domain"


def test_errors_form_one_tree_that_its_docstring_draws() -> None:
    errors = importlib.import_module("transrec.errors")
    for cls in own_classes():
        if issubclass(cls, BaseException):
            assert issubclass(cls, TransRecError | KeyboardInterrupt), (
                f"{cls.__module__}.{cls.__qualname__} is outside the tree of errors"
            )
            assert cls.__module__ == errors.__name__, (
                f"{cls.__qualname__} is raised on purpose: it belongs to transrec.errors"
            )
            assert cls.__name__ in (errors.__doc__ or "")


def test_settings_document_every_field() -> None:
    missing = [
        f"{cls.__module__}.{cls.__qualname__}.{name}"
        for cls in own_classes()
        if issubclass(cls, Settings)
        for name, field in cls.model_fields.items()
        if not field.description
    ]
    assert not missing, "settings without a docstring below them:\n" + "\n".join(missing)
