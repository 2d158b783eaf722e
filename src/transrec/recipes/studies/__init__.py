"""Studies: comparisons side by side, one for each kind of target or each size of the source; one table and one figure."""
