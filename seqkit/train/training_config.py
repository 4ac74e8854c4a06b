"""The numbers of a training run, one field a number; units and sources stand below the fields."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from seqkit.errors import InputError

POSITIVE = ("learning_rate", "epochs", "decay", "decay_every")
LOW = {"accumulate": 1, "log_every": 1}
BELOW_ONE = ("betas", "rho", "momentum", "ema", "floor", "decay")


@dataclass(frozen=True)
class TrainingConfig:
    """How long, how fast and by what rule to train. Raises InputError for a number outside its range."""

    steps: int = 0
    """optimizer steps in all; 0: as many as `epochs` take"""
    epochs: float = 10.0
    """passes over the training set, fractions allowed; used where `steps` is 0 (Sutskever et al. 2014: 7.5)"""
    minutes: float = 0.0
    """end after this much wall-clock time even if steps remain; 0: no limit. Schedules follow steps, not time"""
    optimizer: Literal["sgd", "adagrad", "adadelta", "rmsprop", "adam", "adamw"] = "adam"
    """update rule, as in torch.optim (Sutskever et al. 2014: sgd; Bahdanau et al. 2015: adadelta)"""
    learning_rate: float = 1e-3
    """step size before the schedule (Sutskever et al. 2014: 0.7; Bahdanau et al. 2015: 1)"""
    momentum: float = 0.0
    """share of the previous update that is kept; sgd and rmsprop only"""
    betas: tuple[float, float] = (0.9, 0.999)
    """decay rates of the first and second moment; adam and adamw only (Vaswani et al. 2017: 0.9, 0.98)"""
    rho: float = 0.95
    """decay rate of the mean squared gradient; adadelta and rmsprop only (Bahdanau et al. 2015: 0.95)"""
    epsilon: float = 1e-8
    """added to a denominator for stability, all but sgd (Bahdanau et al. 2015: 1e-6)"""
    weight_decay: float = 0.0
    """L2 penalty, for adamw decoupled from the gradient (Loshchilov & Hutter 2019)"""
    clip: float = 1.0
    """largest L2 norm of the gradient of all parameters; 0: unlimited (Sutskever et al. 2014: 5; Bahdanau et al.: 1)"""
    accumulate: int = 1
    """batches a step and process, whose gradients are summed"""
    precision: Literal["float32", "bf16"] = "float32"
    """arithmetic of forward and backward; bf16 is autocast, weights and optimizer stay float32"""
    schedule: Literal["constant", "halving", "plateau", "inverse_sqrt", "cosine"] = "constant"
    """how the learning rate falls: not, by `decay` at fixed epochs, by `decay` when validation stalls, by
    1/sqrt(step), or as half a cosine to `floor` at the last step"""
    warmup: int = 0
    """steps of linear growth from 0 to the full learning rate (Vaswani et al. 2017: 4000, with inverse_sqrt)"""
    decay: float = 0.5
    """factor of one fall of the learning rate; halving and plateau only"""
    decay_after: float = 5.0
    """epochs before the first fall; halving only (Sutskever et al. 2014: 5)"""
    decay_every: float = 0.5
    """epochs between falls; halving only (Sutskever et al. 2014: 0.5)"""
    decay_patience: int = 2
    """validations without a new best before a fall; plateau only"""
    floor: float = 0.0
    """smallest share of the full learning rate; plateau and cosine only"""
    ema: float = 0.0
    """decay a step of the exponential moving average of the weights that is validated and kept; 0: none"""
    last: int = 0
    """validate and keep the mean of the weights at this many latest validations; 0: none"""
    validate_every: int = 0
    """steps between validations; 0: at the end of every epoch"""
    metric: str = "loss"
    """the validation figure that chooses the best weights"""
    goal: Literal["min", "max"] = "min"
    """whether a smaller or a larger `metric` is better"""
    patience: int = 0
    """end after this many validations without a new best; 0: never"""
    checkpoint_every: int = 0
    """steps between checkpoints; 0: at validations and by `checkpoint_minutes`"""
    checkpoint_minutes: float = 10.0
    """most minutes of work that a crash can cost; 0: no limit"""
    log_every: int = 50
    """steps a row of log.jsonl; on a GPU, the steps between two waits for the device"""
    seed: int = 1
    """of dropout and of everything else drawn at random in training"""

    def __post_init__(self) -> None:
        values = dataclasses.asdict(self)
        for name in (name for name, value in values.items() if isinstance(value, int | float)):
            low, value = LOW.get(name, 0), values[name]
            if not (value > 0 if name in POSITIVE else value >= low):
                raise InputError(f"`{name}` must be {'above' if name in POSITIVE else 'at least'} {low}, got {value}")
        for name in BELOW_ONE:
            if not all(0 <= value < 1 for value in (values[name] if name == "betas" else [values[name]])):
                raise InputError(f"`{name}` must be at least 0 and below 1, got {values[name]}")
        if self.ema and self.last:
            raise InputError(f"`ema` or `last` must be 0, got {self.ema} and {self.last}: one average at a time")
