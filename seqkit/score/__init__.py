"""From texts to figures that can be trusted: metrics, intervals, tests, reports and `seqkit score`."""
