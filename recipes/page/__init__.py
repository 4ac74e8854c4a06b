"""A page in the browser on which trained runs are tried."""
