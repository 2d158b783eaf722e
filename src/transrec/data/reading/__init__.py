"""Files of tables as they come: CSV, TSV, Parquet and JSON lines, and what is found wrong in them."""
