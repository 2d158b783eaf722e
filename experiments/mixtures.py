"""What several sources, and how they are mixed, are worth to a target, before a transfer and after it.

Models are trained on every set of the other platforms; where there are several, balanced (all have equally many steps) and
proportional (as many as they have batches). Each is measured on the target as it is, and after a transfer in which all of
the target's users train, or a ``--share`` of them, beside training from scratch. Targets are those of validation; ``--part
test`` opens those of the test. A seed is that of the source and of the transfer. Differences are paired by user, on means
over the seeds.

::

    PYTHONPATH=. python experiments/mixtures.py --data-root DATA --minilm FOLDER --squeezenet FILE --out OUT --target office

``OUT`` is the folder of ``experiments/real.py``, whose datasets are used, and made if they are not there. It can be
interrupted: what is done is not done again, and a training resumes. The tables are in ``OUT/mixtures``, too, as numbers.
A source takes minutes on two cores, and each seed has eleven: ``--seeds 0 --sources films films+fashion`` is a beginning.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

from experiments.keeping import name_of, ranked, weights_of, write_table
from experiments.measuring import HEADINGS, Measured, heading, shown
from experiments.moving import Move, moved, settings_of
from experiments.real import PLATFORMS, ingested, learning, parser_of, trained

from transrec import Dataset, TransRec
from transrec.data.splits import split_of
from transrec.evaluation.ranks import ModelRanker, RankedTargets, rank_targets

MIXTURES = ("balanced", "proportional")
ALONE = MIXTURES[0]
"""How a single source is mixed: there is nothing to mix."""
SCRATCH, ZERO, MOVED = "from scratch", "zero-shot", "transferred"
MOVES = {SCRATCH: Move(None), MOVED: Move()}
WITHOUT_COUNTS = ("--model.prior", "none")


def main() -> None:
    """Do what has not been done yet, and print the table."""
    options = command_line().parse_args()
    wanted = [(names, mixture) for names, mixture in mixtures_of(options.target) if _wanted(names, options)]
    for name in {options.target, *itertools.chain.from_iterable(names for names, _ in wanted)}:
        ingested(name, options)
    dataset = Dataset.open(options.out / "data" / options.target)
    lines, rows = heading("target", "from", "mixture", "how", *HEADINGS, "against scratch", "seeds"), []
    scratch = None
    for names, mixture in wanted:
        for how in (ZERO, MOVED) if scratch else (SCRATCH, ZERO, MOVED):
            own = _over_seeds(how, names, mixture, dataset, options)
            scratch = scratch or own
            source = ("", "") if how == SCRATCH else ("+".join(names), mixture if len(names) > 1 else "")
            told = [dataset.name, *source, how, *own.cells, shown(own.against(scratch)), str(own.seeds)]
            lines.append(f"| {' | '.join(told)} |")
            rows.append({"sources": source[0], "mixture": source[1], "how": how, **own.to_json(scratch)})
    deciding = ("target", "sources", "seeds", "share", "part", "rate", "without_counts")
    asked = {name: getattr(options, name) for name in deciding}
    path = write_table(options.out / "mixtures", rows, **asked)
    print("\n".join([*lines, "", f"as numbers: {path}"]))


def mixtures_of(target: str) -> list[tuple[tuple[str, ...], str]]:
    """Every set of the other platforms, with every way of mixing it."""
    others = [name for name in PLATFORMS if name != target]
    sets = [names for count in range(1, len(others) + 1) for names in itertools.combinations(others, count)]
    return [(names, mixture) for names in sets for mixture in (MIXTURES if len(names) > 1 else (ALONE,))]


def _wanted(names: Sequence[str], options: argparse.Namespace) -> bool:
    return not options.sources or set(names) in [set(source.split("+")) for source in options.sources]


def _over_seeds(how: str, names: Sequence[str], mixture: str, dataset: Dataset, options: argparse.Namespace) -> Measured:
    found = []
    for seed in map(int, options.seeds.split(",")):
        run = _source(names, mixture, seed, options)
        if how == ZERO:
            found.append(_as_it_is(run, seed, dataset, options))
        else:
            found.append(moved(how, MOVES[how], seed, dataset, run, options))
    whole = split_of(dataset.interactions, settings_of(Move(), 0, dataset, run, 1.0).split)
    return Measured.of(found, whole.train_counts(len(dataset.catalog)))


def _source(names: Sequence[str], mixture: str, seed: int, options: argparse.Namespace) -> Path:
    """The run of these sources, trained now if it is not."""
    settings = ["--training.mixture", mixture, "--training.seed", str(seed), *learning(options)]
    settings += WITHOUT_COUNTS if options.without_counts else ()
    return trained(f"mixtures/{'+'.join(names)}-{mixture}-{seed}", names, options, settings=settings)


def _as_it_is(run: Path, seed: int, dataset: Dataset, options: argparse.Namespace) -> RankedTargets:
    """The ranks under a run that has not learned from the target; its users count, where the run has a prior."""
    split = settings_of(Move(), seed, dataset, run, options.share).split
    deciding = {"start": weights_of(run), "split": split, "data": dataset.fingerprint, "part": options.part}

    def make() -> RankedTargets:
        few, whole = (split_of(dataset.interactions, own) for own in (split, split.updated({"users": 1.0})))
        ranker = ModelRanker.of(TransRec.load(run), dataset, few, place=None)
        return rank_targets(ranker, few, getattr(whole, options.part))

    return ranked(options.out / "mixtures" / dataset.name / f"{name_of(run.name, deciding)}.parquet", deciding, make)


def command_line() -> argparse.ArgumentParser:
    """What the script can be asked."""
    parser = parser_of(__doc__)
    parser.add_argument("--target", default="office", choices=list(PLATFORMS))
    parser.add_argument("--sources", nargs="*", default=[], metavar="A+B", help="sets of sources; all by default")
    parser.add_argument("--share", type=float, default=1.0, help="of the target's users, who train")
    parser.add_argument("--part", choices=("validation", "test"), default="validation", help="the targets")
    parser.add_argument("--rate", type=float, help="learning rate of sources and transfers; that of real.yaml by default")
    parser.add_argument("--without-counts", action="store_true", help="by content alone: no prior, anywhere")
    return parser


if __name__ == "__main__":
    main()
