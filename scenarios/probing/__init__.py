"""Questions played on a running network."""
