"""A ground for studies, and a finished one, made once for all tests of this folder."""

from __future__ import annotations

import pytest
from studying_ground import QUICK, Done, Ground, Told, make_ground

from transrec.recipes.studies.kinds import study_kinds
from transrec.recipes.studies.settings import KindsSettings


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return make_ground(tmp_path_factory.mktemp("studies"))


@pytest.fixture(scope="session")
def done(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder, console = tmp_path_factory.mktemp("done"), Told()
    settings = KindsSettings.from_mapping({**QUICK, "training": {"epochs": 1}})
    return Done(study_kinds(ground.run, ground.target, settings, folder, console=console), folder, console.text)
