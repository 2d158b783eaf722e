"""The command line: arguments in, a recipe called.

Each verb lives in a module of its own, named by text and loaded when it is called, so that ``transrec --help`` answers
without loading torch.
"""

from __future__ import annotations

import re
import signal
import sys

from cyclopts import App, CycloptsError, CycloptsPanel, MissingArgumentError
from cyclopts.argument import ArgumentCollection
from cyclopts.config import Dict
from pydantic import ValidationError
from rich.console import Console, RenderableType

from transrec._version import __version__
from transrec.cli.allocator import keep_freed_memory
from transrec.errors import SettingsError, TransRecError
from transrec.settings import explained, read_yaml

VERBS = {
    "demo": "Watch the whole path on a small built-in world: pre-train, transfer, compare, recommend.",
    "ingest": "Turn tables and pictures into a dataset folder; nothing is dropped silently.",
    "check": "Say what is in tables or a dataset folder, and what is wrong with it, without writing anything.",
    "train": "Train a model from scratch on one dataset or several, or go on with newer data of a run's platform.",
    "transfer": "Move a trained run to a dataset with other users and other items.",
    "slice": "Cut a smaller run out of a nested one, without training; or let a run compare fewer numbers.",
    "compare": "Will pre-training elsewhere help here? From scratch, zero-shot and transferred beside simple methods.",
    "study": "Comparisons side by side, for kinds of target, sizes of the source, shares of its weights: table and figure.",
    "evaluate": "Open the test split: rank the whole catalog, beside simple baselines, with intervals.",
    "recommend": "Recommend for a history of item ids, or for all users of a dataset.",
    "serve": "Answer over HTTP: recommendations, similar items, search; items come and go meanwhile.",
    "play": "A page in the browser: make histories, see what is recommended and why, try a photo as a new item.",
    "report": "One HTML file that shows a run, or several side by side: data, training, numbers, items, users.",
    "index": "Encode the catalog of a run and keep the vectors beside it, so that recommending begins at once.",
    "export": "Write ONNX graphs of both towers and the item vectors, for programs without PyTorch.",
}
"""The verbs in the order in which people need them, and what each does."""

RESUMED = ("train", "transfer")
"""Verbs that go on with --resume."""
FOUND_DONE = ("compare", "study", "index", "recommend")
"""Verbs that go on when the same command is given again."""


def _from_file(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Take what the command line does not say from the YAML file that it names with --config.

    The ``settings.yaml`` of a run folder is such a file: what it says of the run's origin is left aside, and so is its model
    for a verb that takes the model from another run, and how it went on from another for a verb that cannot.
    """
    named = next((a for a in arguments if "--config" in a.names), None)
    if named is None or not named.tokens:
        return
    path = named.tokens[0].value
    values = read_yaml(path)
    flags = [name for a in arguments for name in a.names]
    origin = ["format", "run"]
    for section in ("model", "continuing"):
        if "run" in values and not any(name.startswith(f"--{section}") for name in flags):
            origin.append(section)
    if "model" in values and "model" not in origin and not any(name.startswith("--model") for name in flags):
        elsewhere = any(name.startswith("--backbones") for name in flags)
        raise SettingsError(
            "the model is the run's, so that a section model means nothing here",
            where=path,
            remedy="take it out of the file, or a copy of it"
            + ("; --backbones.text and --backbones.image say where fresh encoders are read from" if elsewhere else ""),
        )
    settings = {name: value for name, value in values.items() if name not in origin}
    Dict(settings, use_commands_as_keys=False, source=path)(app, commands, arguments)


def _told(error: CycloptsError) -> RenderableType:
    """What is wrong with the command line, in the words of the settings where they are what is wrong, and where to look."""
    cause = error.__cause__ or error.__context__
    told = str(error)
    if isinstance(error, MissingArgumentError) and error.argument and not error.keyword and not error.tokens_so_far:
        told = " ".join([f"{error.argument.name} is missing.", *re.findall(r"Did you mean .*", told)])
    if isinstance(cause, ValidationError):
        lines = [line.partition(":") for line in explained(cause)]
        told = "\n".join(f"--{_flag(name)}:{what}{_source(error, name)}" for name, _, what in lines)
    chain = tuple(error.command_chain or ())
    verb = chain if chain and chain[0] in VERBS else ()  # with the study, where there are several
    return CycloptsPanel(f"{told}\nTo mend it: {' '.join(('transrec', *verb, '--help'))} says what there is")


def _flag(name: str) -> str:
    """A setting as it is typed: a place in a list is no part of that."""
    return re.sub(r"(\.\d+)+$", "", name).replace("_", "-")


def _source(error: CycloptsError, name: str) -> str:
    """The file that a setting was taken from, for the end of a line; nothing where it was typed."""
    sources: dict[str, str] = {}
    arguments = [error.argument] if error.argument else []
    while arguments:
        argument = arguments.pop()
        sources |= {argument.name.lstrip("-").replace("-", "_"): token.source for token in argument.tokens}
        arguments += argument.children
    parts = name.split(".")
    within = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    source = next((sources[outer] for outer in within if outer in sources), "cli")
    return "" if source == "cli" else f" [{source}]"


app = App(
    name="transrec",
    version=__version__,
    help="Recommendations from what items are: their texts, their pictures, or both. A model trained on one platform moves "
    "to another that shares no user and no item with it.",
    config=_from_file,
    help_format="markdown",
    error_formatter=_told,
    suppress_keyboard_interrupt=False,  # main says what is kept
)
for _verb, _help in VERBS.items():
    app.command(f"transrec.cli.{_verb}:{_verb}", name=_verb, help=_help)


def main() -> None:
    """Run the command line; a mistake that a person can mend is told in a few lines, without a traceback."""
    keep_freed_memory()
    try:
        app(sys.argv[1:])
    except TransRecError as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"[bold red]Error:[/bold red] {_escaped(str(error))}")
        sys.exit(2)
    except KeyboardInterrupt as stop:
        told = _interrupted(sys.argv[1:], stop)
        Console(stderr=True).print(f"\n[bold]Interrupted[/bold]: {_escaped(told)}", highlight=False, soft_wrap=True)
        sys.exit(128 + getattr(stop, "signal", signal.SIGINT))


def _interrupted(words: list[str], stop: KeyboardInterrupt) -> str:
    """What an interrupted command keeps, and how to go on with it."""
    verb = next((word for word in words if word in VERBS), "")
    if verb in FOUND_DONE:  # a training inside one of these knows of --resume alone, which they do not have
        return "what is finished is kept; the same command goes on"
    return str(stop) or "what is finished is kept" + ("; --resume goes on with a training" if verb in RESUMED else "")


def _escaped(text: str) -> str:
    """The text with what rich would take for markup made literal."""
    return text.replace("[", "\\[")
