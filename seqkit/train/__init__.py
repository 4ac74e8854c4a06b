"""Training: one function, `fit.fit`, and the named pieces it calls."""
