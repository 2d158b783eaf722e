"""Rules that say, for every parameter, where it comes from and whether it learns.

Pre-training and transfer are the same training; what differs is written here, as two lists of rules over parameter names.
"""

from __future__ import annotations

from transrec.rules.adding import ids_in_fusion, with_ids
from transrec.rules.depth import blocks_above, learning_depths
from transrec.rules.dropping import without
from transrec.rules.fate import Fate, anchored, fates, untaught, with_earlier
from transrec.rules.fraction import Fraction
from transrec.rules.mergeable import merge, merged_copy, merged_into, plain_name
from transrec.rules.sources import (
    DEFAULT_RULES,
    IDENTITY,
    PROJECTIONS,
    Source,
    SourceRule,
    copy_parameters,
    dropped,
    initial_sources,
    is_published,
    measured_names,
    projections_from,
    usual_rules,
)
from transrec.rules.summary import FateSummary, pace_columns, summarised
from transrec.rules.tuning import Tuning, apply_tuning

__all__ = [
    "DEFAULT_RULES",
    "IDENTITY",
    "PROJECTIONS",
    "Fate",
    "FateSummary",
    "Fraction",
    "Source",
    "SourceRule",
    "Tuning",
    "anchored",
    "apply_tuning",
    "blocks_above",
    "copy_parameters",
    "dropped",
    "fates",
    "ids_in_fusion",
    "initial_sources",
    "is_published",
    "learning_depths",
    "measured_names",
    "merge",
    "merged_copy",
    "merged_into",
    "pace_columns",
    "plain_name",
    "projections_from",
    "summarised",
    "untaught",
    "usual_rules",
    "with_earlier",
    "with_ids",
    "without",
]
