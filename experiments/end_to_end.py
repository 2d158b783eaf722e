"""Encoders that learn, from scratch and before a transfer, on real platforms; docs/results.md holds what came out.

A source is trained with the top block of each encoder learning, then ``transrec compare`` holds the transfer of it against
training from scratch in the same way, and against frozen encoders, all with the candidates of the batch alone.

::

    PYTHONPATH=. python experiments/end_to_end.py --data-root DATA --minilm FOLDER --squeezenet FILE --out OUT

``OUT`` is the folder of ``experiments/real.py``, whose datasets are used, and made if they are not there. It can be
interrupted: what is done is not done again, and a training resumes. Two cores take hours; ``--seeds 0`` is the beginning.
"""

from __future__ import annotations

import argparse

from experiments.real import PLATFORMS, ingested, parser_of, ran, trained

END_TO_END = (
    *("--tune", "top:1"),
    *("--objective.softmax.shared-negatives", "0"),  # each of them would have to be encoded
)
EPOCHS = {"source": "2", "target": "4"}
ROWS = ("popularity", "similarity", "frozen", "scratch", "zero-shot", "transferred")


def main() -> None:
    """Do what has not been done yet."""
    options = command_line().parse_args()
    for name in (options.source, options.target):
        ingested(name, options)
    settings = (*END_TO_END, "--training.epochs", EPOCHS["source"])
    run = trained(f"{options.source}-top1", (options.source,), options, settings=settings)
    command = ["compare", run, "--data", options.out / "data" / options.target]
    command += ["--out", options.out / "compare" / f"{options.target}-top1", "--rows", ",".join(ROWS)]
    ran([*command, "--seeds", options.seeds, "--training.epochs", EPOCHS["target"]])


def command_line() -> argparse.ArgumentParser:
    """What the script can be asked."""
    parser = parser_of(__doc__)
    parser.add_argument("--source", default="films", choices=list(PLATFORMS))
    parser.add_argument("--target", default="office", choices=list(PLATFORMS))
    return parser


if __name__ == "__main__":
    main()
