"""Settings: frozen, strict, documented where they are declared; read from and written to YAML."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from transrec.errors import SettingsError

_FORM = "write one 'name: value' a line, groups indented below their name; a file that transrec wrote is to be copied again"


def _at_commas(given: object) -> object:
    """A text, or texts, cut at commas: ``0,1,2`` on the command line is three values."""
    parts = [given] if isinstance(given, str) else given
    if not isinstance(parts, list | tuple):
        return given
    return tuple(piece for part in parts for piece in (part.split(",") if isinstance(part, str) else [part]))


Listed = BeforeValidator(_at_commas)
"""Of a setting that is a tuple: texts are cut at commas, so that one word of the command line may be several values."""


class Settings(BaseModel):
    """A group of settings. Subclasses declare fields, each followed by a docstring that says what it does.

    They are frozen, and an unknown key is an error that names the nearest known one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], *, where: str | None = None) -> Self:
        """Settings from a nested mapping.

        Args:
            values: by setting.
            where: they come from, for messages.

        Raises:
            SettingsError: a key is unknown or a value is out of range; says which, and what is known.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            remedy = f"correct it in {where}; a setting that is left out has its default" if where else None
            raise SettingsError("; ".join(explained(error, cls)), where=where or "settings", remedy=remedy) from None

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Settings from a YAML file.

        Raises:
            SettingsError: the file is not there, is not YAML, or does not hold these settings.
        """
        return cls.from_mapping(read_yaml(path), where=str(path))

    def to_yaml(self, path: str | Path, *, without: Collection[str] = ()) -> None:
        """Write every setting, defaults too, so that a file means the same when a default changes later.

        Args:
            path: of the file.
            without: settings that are left out.
        """
        values = self.model_dump(mode="json", exclude=set(without))
        Path(path).write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))

    def updated(self, values: Mapping[str, Any], *, where: str | None = None) -> Self:
        """These settings with some replaced; nested mappings are merged, everything is validated again."""
        return self.from_mapping(merged(self.model_dump(mode="json"), values), where=where)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty mapping.

    Raises:
        SettingsError: the file is not there or holds something else.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"the settings cannot be read: {error.strerror}", where=str(path), remedy="check that this is the file you mean"
        ) from None
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"the settings are not UTF-8: {error.reason} at byte {error.start}", where=str(path), remedy="save them as UTF-8"
        ) from None
    except yaml.YAMLError as error:
        raise SettingsError(f"this is not YAML: {error}", where=str(path), remedy=_FORM) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"settings are a mapping, this is a {type(values).__name__}", where=str(path), remedy=_FORM)
    return values


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``over`` in place of its own; nested mappings are merged key by key."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def explained(error: ValidationError, cls: type[BaseModel] | None = None) -> list[str]:
    """One line for each thing that is wrong: the dotted setting, what about it, and what was given or is known."""
    return [_explain(cls, dict(entry)) for entry in error.errors()]


def _explain(cls: type[BaseModel] | None, error: Mapping[str, Any]) -> str:
    """One line for one validation error: the dotted key, what is wrong, and the nearest known key."""
    path = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        given = "" if error["type"] == "missing" else f" (given: {error['input']!r})"
        return f"{path}: {error['msg'].removeprefix('Value error, ')}{_nearest(error)}{given}"
    owner: Any = cls
    for part in error["loc"][:-1]:
        if isinstance(part, int):
            continue  # a place in a sequence of groups
        annotation = owner.model_fields[part].annotation if part in getattr(owner, "model_fields", {}) else None
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        owner = next((a for a in candidates if isinstance(a, type) and issubclass(a, BaseModel)), None)
    known = list(owner.model_fields) if owner is not None else []
    near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{path}: there is no such setting; {hint}known are {', '.join(known) or 'none here'}"


def _nearest(error: Mapping[str, Any]) -> str:
    """Of the words that a setting may be the nearest, for the end of what is wrong; empty where none is near."""
    if error["type"] != "literal_error":
        return ""
    near = difflib.get_close_matches(str(error["input"]), re.findall(r"'([^']*)'", error["ctx"]["expected"]), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
