"""Where test packets come from, one module for each kind: contracts, forgeries, unusual shapes."""
