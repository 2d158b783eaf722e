"""Reports: one self-contained HTML file for a run, from the files of the run folder and plain values handed over."""
