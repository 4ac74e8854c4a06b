"""Training: one function, `fit`, and the named pieces it calls."""

from seqkit.train.loop import Loss, Outcome, RunFolder, fit
from seqkit.train.training_config import TrainingConfig

__all__ = ["Loss", "Outcome", "RunFolder", "TrainingConfig", "fit"]
