"""Settings: frozen, strict, and back from YAML as they were written."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from transrec.errors import SettingsError
from transrec.settings import Settings, merged, read_yaml


class Inner(Settings):
    """Below."""

    width: int = 4
    """A number."""


class Outer(Settings):
    """Above."""

    inner: Inner = Inner()
    """A group."""
    names: tuple[str, ...] = ("a",)
    """Some texts."""


def test_back_from_yaml_as_written(tmp_path: Path) -> None:
    settings = Outer(inner=Inner(width=9), names=("x", "ü"))
    settings.to_yaml(tmp_path / "settings.yaml")
    assert Outer.from_yaml(tmp_path / "settings.yaml") == settings
    assert read_yaml(tmp_path / "settings.yaml") == {"inner": {"width": 9}, "names": ["x", "ü"]}


def test_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Outer().names = ()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"inner": {"widht": 3}}, "inner.widht: there is no such setting; did you mean 'width'? known are width"),
        ({"iner": 1}, "iner: there is no such setting; did you mean 'inner'? known are inner, names"),
        ({"inner": {"width": "wide"}}, "inner.width: .*(given: 'wide')"),
        ({"zzz": 1, "yyy": 2}, "zzz: there is no such setting; known are inner, names; yyy: there is no such"),
    ],
)
def test_what_is_wrong_is_said_with_what_is_known(values: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told.replace("?", r"\?").replace("(", r"\(").replace(")", r"\)")):
        Outer.from_mapping(values)


def test_updating_merges_groups_and_validates() -> None:
    updated = Outer(names=("x",)).updated({"inner": {"width": 7}})
    assert updated == Outer(inner=Inner(width=7), names=("x",))
    with pytest.raises(SettingsError, match="did you mean 'width'"):
        Outer().updated({"inner": {"with": 7}})
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9}, "e": 4}) == {"a": {"b": 9, "c": 2}, "d": 3, "e": 4}


@pytest.mark.parametrize(
    ("text", "told"), [("a: [1", "is not YAML"), ("- a\n- b\n", "settings are a mapping, this is a list")]
)
def test_files_that_hold_no_settings(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=told) as caught:
        Outer.from_yaml(path)
    assert str(path) in str(caught.value)


def test_an_empty_file_is_the_defaults_and_a_missing_one_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert Outer.from_yaml(tmp_path / "empty.yaml") == Outer()
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        Outer.from_yaml(tmp_path / "missing.yaml")
