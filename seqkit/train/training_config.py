"""Hyperparameters of training: one field each, with unit, source and meaning below it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from seqkit.described import described
from seqkit.errors import InputError
from seqkit.ranges import Range, check_ranges

RESUMABLE = (  # fields that may have another value when a run is resumed
    "steps",
    "epochs",
    "max_minutes",
    "patience",
    "log_every",
    "checkpoint_every",
    "checkpoint_minutes",
)

AtLeast0 = Range(min=0)
Fraction = Range(min=0, below=1)


@described
@dataclass(frozen=True)
class TrainingConfig:
    """Length, optimizer, schedule, validation and checkpoints of a training run. Raises InputError for a number outside
    its range."""

    steps: Annotated[int, AtLeast0] = 0
    """optimizer steps of the whole run; 0: as many as `epochs` take"""
    epochs: Annotated[float, Range(above=0)] = 10.0
    """passes over the training set, fractions allowed; used where `steps` is 0 (Sutskever et al. 2014: 7.5)"""
    max_minutes: Annotated[float, AtLeast0] = 0.0
    """stop after this wall-clock time even if steps remain; 0: no limit. Schedules follow steps, not time"""
    optimizer: Literal["sgd", "adagrad", "adadelta", "rmsprop", "adam", "adamw"] = "adam"
    """optimizer, as in torch.optim (Sutskever et al. 2014: sgd; Bahdanau et al. 2015: adadelta)"""
    learning_rate: Annotated[float, Range(above=0)] = 1e-3
    """peak learning rate, before the schedule (Sutskever et al. 2014: 0.7; Bahdanau et al. 2015: 1)"""
    momentum: Annotated[float, Fraction] = 0.0
    """momentum; sgd and rmsprop only"""
    betas: Annotated[tuple[float, float], Fraction] = (0.9, 0.999)
    """decay rates of the first and second moment; adam and adamw only (Vaswani et al. 2017: 0.9, 0.98)"""
    rho: Annotated[float, Fraction] = 0.95
    """decay rate of the mean squared gradient; adadelta and rmsprop only (Bahdanau et al. 2015: 0.95)"""
    epsilon: Annotated[float, AtLeast0] = 1e-8
    """term added to a denominator for stability, all but sgd (Bahdanau et al. 2015: 1e-6)"""
    weight_decay: Annotated[float, AtLeast0] = 0.0
    """L2 penalty, for adamw decoupled from the gradient (Loshchilov & Hutter 2019)"""
    max_grad_norm: Annotated[float, AtLeast0] = 1.0
    """gradient clipping: largest L2 norm of the gradient; 0: none (Sutskever et al. 2014: 5; Bahdanau et al.: 1)"""
    grad_accumulation: Annotated[int, Range(min=1)] = 1
    """batches per step and process whose gradients are accumulated"""
    precision: Literal["auto", "float32", "bf16"] = "float32"
    """arithmetic of forward and backward; bf16 is autocast, weights and optimizer stay float32; auto: bf16 where the
    device has instructions for it, stored as what was chosen"""
    schedule: Literal["constant", "step", "plateau", "inverse_sqrt", "cosine"] = "constant"
    """learning rate schedule: constant, times `gamma` at fixed epochs, times `gamma` when validation stalls,
    1/sqrt(step), or cosine to `min_lr_ratio` at the last step"""
    warmup: Annotated[int, AtLeast0] = 0
    """steps of linear warmup from 0 to the full learning rate (Vaswani et al. 2017: 4000, with inverse_sqrt)"""
    gamma: Annotated[float, Range(above=0, below=1)] = 0.5
    """factor of one reduction of the learning rate; step and plateau only"""
    step_after: Annotated[float, AtLeast0] = 5.0
    """epochs before the first reduction; step only (Sutskever et al. 2014: 5)"""
    step_every: Annotated[float, Range(above=0)] = 0.5
    """epochs between reductions; step only (Sutskever et al. 2014: 0.5)"""
    plateau_patience: Annotated[int, AtLeast0] = 2
    """validations without a new best before a reduction; plateau only"""
    min_lr_ratio: Annotated[float, Fraction] = 0.0
    """smallest fraction of the full learning rate; plateau and cosine only"""
    ema_decay: Annotated[float, Fraction] = 0.0
    """decay per step of the exponential moving average of the weights that is validated and saved; 0: none"""
    average_last: Annotated[int, AtLeast0] = 0
    """validate and save the mean of the weights at this many latest validations; 0: none"""
    validate_every: Annotated[int, AtLeast0] = 0
    """steps between validations; 0: at the end of every epoch"""
    metric: str = "loss"
    """validation metric that selects the best weights"""
    mode: Literal["min", "max"] = "min"
    """whether a smaller or a larger `metric` is better"""
    patience: Annotated[int, AtLeast0] = 0
    """early stopping: end after this many validations without a new best; 0: never"""
    checkpoint_every: Annotated[int, AtLeast0] = 0
    """steps between checkpoints; 0: at validations and by `checkpoint_minutes`"""
    checkpoint_minutes: Annotated[float, AtLeast0] = 10.0
    """most minutes of work that a crash can cost; 0: no limit"""
    log_every: Annotated[int, Range(min=1)] = 50
    """steps per row of log.jsonl; on a GPU, the steps between two waits for the device"""
    seed: Annotated[int, Range(min=0, below=2**32)] = 1
    """random seed of dropout and of everything else drawn in training"""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.ema_decay and self.average_last:
            raise InputError(
                f"`ema_decay` or `average_last` must be 0, got {self.ema_decay} and {self.average_last}: "
                "one average at a time"
            )
