"""Export: a run as files that other programs read: ONNX graphs, item vectors as Parquet, and what goes with them."""
