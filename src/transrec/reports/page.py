"""Page: chapters as one HTML file that needs nothing else, written by jinja2 with everything escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from transrec.errors import require_extra
from transrec.reports.chapter import Chapter
from transrec.reports.missing import Missing
from transrec.reports.side import SideBySide

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Contents:
    """What is on a page.

    Attributes:
        title: of the page.
        made: when, for people.
        chapters: one for each run.
        side: the runs beside each other; None where there is one.
        environment: by name, what the report was made with.
    """

    title: str
    made: str
    chapters: Sequence[Chapter]
    side: SideBySide | None
    environment: Mapping[str, str]


@final
class Page:
    """Writes contents as HTML; made first, so that a missing library is told before any work.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """

    def __init__(self) -> None:
        jinja2 = require_extra("jinja2", extra="report", purpose="the report")
        markup = require_extra("markupsafe", extra="report", purpose="the report").Markup
        self._jinja: Any = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,  # titles, ids and names are whatever people's tables hold
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # what comes from the files beside the templates and from matplotlib, which escapes the texts that it draws
        self._jinja.filters["markup"] = markup
        self._jinja.tests["missing"] = lambda value: isinstance(value, Missing)
        self._jinja.globals["style"] = markup((TEMPLATES / "report.css").read_text())
        self._jinja.globals["script"] = markup((TEMPLATES / "report.js").read_text())

    def written(self, contents: Contents) -> str:
        """The HTML."""
        text: str = self._jinja.get_template("report.html").render(page=contents)
        return text.lstrip()
