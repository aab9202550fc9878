"""Records of a run that never took place, and what computing its figures takes."""
