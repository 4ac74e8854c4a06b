"""`seqkit TASK predict`: raw inputs from the command line, or from standard input as they come, to predictions."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from seqkit import recipe as recipes
from seqkit.data.files import PLOTS, check_without
from seqkit.errors import InputError
from seqkit.field_flags import add_device, add_fields, add_options, given_fields, given_options
from seqkit.flags import Parser, parse, pick_device, stdin_batches
from seqkit.recipe import SEARCH, Recipe, TrainedRun
from seqkit.score.prediction import Interrupted, Prediction
from seqkit.share import all_inputs, is_part, is_shared, shared
from seqkit.tasks import command_of


def predict(recipe: Recipe, argv: list[str]) -> int:
    """`seqkit TASK predict`; 2 where some input was unusable, each of which is named."""
    parser = Parser(
        f"{command_of(recipe.name)} predict", "Predictions go to standard output, one line an input, in order."
    )
    parser.add_argument("inputs", metavar="INPUT", nargs="*", help=f"{recipe.inputs}; from standard input if not given")
    parser.add_argument(
        "--run",
        metavar="RUN",
        type=Path,
        action="append",
        required=True,
        help="the folder of a trained run, or hf://OWNER/NAME; given several times, an ensemble",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--nbest", metavar="N", type=int, default=1, help="predictions an input, best first [1]")
    parser.add_argument(
        "--plots", metavar="DIR", type=Path, help="draw a picture of each input: attention, posteriors or boxes"
    )
    add_device(parser)
    add_fields(parser, recipe.config, only=SEARCH)
    add_options(parser, recipe.prediction)
    args = parse(parser, argv)
    if args.nbest < 1:
        raise InputError(f"`--nbest` must be at least 1, got {args.nbest}")
    if args.plots:
        check_without(args.plots, PLOTS, "`--plots` must be a folder without pictures")
    options = given_options(args, recipe.prediction) if recipe.after_prediction else None
    run = recipes.load(recipe, args.run, pick_device(args.device), given_fields(args, recipe.config))
    count, usable = 0, list[tuple[Any, list[Prediction]]]()
    interrupted = False
    for words in _batches(recipe, args.inputs):
        inputs = run.predictor.parse(words)
        try:
            found = _answered(recipe, run, inputs, args.nbest) if inputs else []
        except KeyboardInterrupt as interrupt:
            if is_part():
                raise
            # what was read until then is given like the rest
            found, interrupted = [[interrupt.found]] if isinstance(interrupt, Interrupted) else [], True
            inputs = inputs[: len(found)]
        if is_part():
            continue
        if found and not count and (refused := _refused_alike(found)):
            raise refused
        for number, (given, own) in enumerate(zip(inputs, found, strict=True), count + 1):
            _print(recipe, given, own, as_json=args.json)
            if isinstance(own, InputError):
                continue
            usable.append((given, own))
            if args.plots:
                run.predictor.plot(given, own, args.plots / f"{number:04}.png")
        count += len(inputs)
        if interrupted:
            break
    if recipe.after_prediction and not is_part():
        recipe.after_prediction(options, [given for given, _ in usable], [own for _, own in usable])
    if interrupted:
        raise KeyboardInterrupt
    return 2 if len(usable) < count else 0


def _answered(
    recipe: Recipe, run: TrainedRun, inputs: Sequence[Any], nbest: int
) -> Sequence[list[Prediction] | InputError]:
    """The predictions of each input; where each may be long, inputs are what parts of the command share."""
    if recipe.one_by_one:
        found = shared(lambda some: [run.predict_each(own, nbest) for own in some], [inputs], used=False)
        return found[0] if found else []
    return run.predict_each(inputs, nbest)


def _batches(recipe: Recipe, inputs: Sequence[str]) -> Iterable[Sequence[str]]:
    """The inputs that are answered together: all that were given, or one by one where each may take long; or what
    comes on standard input."""
    batches: Iterable[Sequence[str]] = [inputs] if inputs else stdin_batches(paired=recipe.paired)
    if not inputs and is_shared():
        batches = [all_inputs(lambda: [word for words in stdin_batches(paired=recipe.paired) for word in words])]
    return ([word] for words in batches for word in words) if recipe.one_by_one else batches


def _print(recipe: Recipe, given: Any, found: list[Prediction] | InputError, *, as_json: bool) -> None:
    """One input's predictions, at once; its error goes to standard error, and leaves an empty line or an object."""
    if isinstance(found, InputError):
        print(f"error: {' '.join(str(found).splitlines())}", file=sys.stderr)
        text = json.dumps({"input": _plain(given), "error": str(found)}, ensure_ascii=False) if as_json else ""
    else:
        text = _printed(recipe, given, found, as_json=as_json)
    print(text, flush=True)


def _refused_alike(found: Sequence[list[Prediction] | InputError]) -> InputError | None:
    """The one error of several inputs, where it is about none of them: an option that no input can be used with."""
    errors = [own for own in found if isinstance(own, InputError)]
    alike = len(errors) == len(found) > 1 and len({str(error) for error in errors}) == 1
    return errors[0] if alike else None


def _printed(recipe: Recipe, given: Any, found: Sequence[Prediction], *, as_json: bool) -> str:
    """One input's predictions: the text, or lines of score and text, or one JSON object."""
    if as_json:
        return json.dumps({"input": _plain(given), "predictions": [_facts(own) for own in found]}, ensure_ascii=False)
    if len(found) == 1:
        return recipe.line(found[0])
    return "\n".join(f"{own.score:.4f}\t{recipe.line(own)}" for own in found)


def _facts(found: Prediction) -> dict[str, Any]:
    """A prediction for JSON; what the recipe does not know is left out."""
    facts: dict[str, Any] = {"text": found.text, "logprob": found.logprob, "score": found.score}
    if found.words:
        facts["words"] = [{k: v for k, v in word._asdict().items() if v is not None} for word in found.words]
    known = {"box": found.box, "probability": found.probability, "seconds": found.seconds}
    return facts | {name: value for name, value in known.items() if value is not None}


def _plain(given: Any) -> Any:
    """An input for JSON: a text, or a list of the texts of a pair."""
    return [str(part) for part in given] if isinstance(given, tuple) else str(given)
