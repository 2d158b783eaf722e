"""How the documentation is built: Sphinx, furo, MyST; a warning is an error (make docs)."""

import ast
import re
import shutil
import tomllib
from pathlib import Path

from transrec._version import __version__

DOCS = Path(__file__).parent
SOURCE = DOCS.parent / "src" / "transrec"

project = "transrec"
author = "The transrec authors"
copyright = "The transrec authors, Apache-2.0"  # noqa: A001  the name is Sphinx's
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
suppress_warnings = ["ref.python"]  # annotations are short names, and two modules may have a class of one name
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True, "exclude-members": "model_config"}
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes as a list, not as entries of the index that the class body makes a second time
python_maximum_signature_line_length = 100

copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"

html_theme = "furo"
html_title = f"transrec {__version__}"
html_show_sourcelink = False


def write_api_pages() -> None:
    """One page for each step of the staircase that is checked, with every module on it, so that none is forgotten."""
    folder = DOCS / "api" / "generated"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tools = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["tool"]
    contract = next(c for c in tools["importlinter"]["contracts"] if c["type"] == "layers")
    units = [unit.strip(" ()") for layer in contract["layers"] for unit in re.split(r"[|:]", layer)]
    for position, unit in enumerate(u for u in units if u != "cli"):
        files = sorted((SOURCE / unit).rglob("*.py")) or [SOURCE / f"{unit}.py"]
        modules = [_module_name(path) for path in files if path.exists() and _has_content(path)]
        if modules:
            sections = [f"({name})=\n## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n```\n" for name in modules]
            text = f"# {unit}\n\n" + "\n".join(sections)
            (folder / f"{position:02d}-{unit}.md").write_text(text)


def _module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _has_content(path: Path) -> bool:
    """Whether a file defines or says something: an `__init__` that only hands names on has its page elsewhere."""
    tree = ast.parse(path.read_text())
    return path.name != "__init__.py" or any(isinstance(n, ast.FunctionDef | ast.ClassDef) for n in tree.body)


write_api_pages()
