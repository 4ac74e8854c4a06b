"""A page in the browser on which trained runs are tried: one tab a run.

    seqkit page RUN [RUN …] [--host 127.0.0.1] [--port 7860] [--max_megabytes 100]

Needs gradio (`pip install "seqkit[page]"`). Everything stays on this machine: the page is served to it alone unless
--host says otherwise, sends nothing to anybody, loads nothing from elsewhere, and serves no file but what was uploaded
to it and what it has drawn, all of which is in one temporary folder that is removed at the end.
"""

import hashlib
import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.errors import InputError
from seqkit.field_flags import add_device
from seqkit.flags import Parser, parse
from seqkit.recipe import TrainedRun
from seqkit.recipes.page.answer import Answer, answers
from seqkit.recipes.page.examples import copy_clip, find_items, write_playable

MISSING = 'the page needs gradio, which is not installed: pip install "seqkit[page]"'
STYLE = """
.answer textarea { font-size: 1.25rem } .timing { opacity: .7 } .wide { overflow-x: auto }
.details table { width: 100%; border-collapse: collapse; border: none !important; outline: none !important }
.details thead, .details tbody, .details tr { border: none !important; outline: none !important }
.details th, .details td { text-align: left; padding: .3rem .8rem .3rem 0 !important;
  border: none !important; border-bottom: 1px solid var(--border-color-primary) !important }
.given img, .given video { max-height: 20rem; object-fit: contain } .plot img { padding-top: 1.8rem }
.remark { border-left: 3px solid #d97706; padding-left: .6rem }
.problem p { color: #b42318; font-weight: 600 } .dark .problem p { color: #ff9c92 }
"""
MEDIA = ("image", "video", "audio")  # keys whose values are files
ASKS = {
    "translation": "A sentence to translate",
    "language_model": "A text to score",
    "vqa": "Your question",
    "grounding": "What to find",
}


PLOTS = 2  # pictures of an answer, at most
PLOT: Mapping[str, Any] = {
    "label": "Attention", "show_label": False, "type": "filepath", "format": "png", "interactive": False,
    "elem_classes": "plot", "buttons": ["download", "fullscreen"],
}  # fmt: skip


class Form(NamedTuple):
    """What a tab takes: the keys of an item that stand for its inputs, and what to call for if they are missing."""

    keys: tuple[str, ...]
    missing: str


FORMS = {
    "translation": Form(("source",), "Type a sentence."),
    "language_model": Form(("references",), "Type a text."),
    "captioning": Form(("image",), "Drop a picture."),
    "vqa": Form(("image", "question"), "Drop a picture and type a question."),
    "grounding": Form(("image", "source"), "Drop a picture and type a phrase."),
    "lipnet": Form(("video",), "Upload or record a video of a face."),
    "wlas": Form(("video",), "Upload or record a video of a face."),
    "las": Form(
        ("audio",), "Upload or record sound; of a video, save its sound as a file first, such as .m4a or .wav."
    ),
}


class Tab(NamedTuple):
    """A run on the page."""

    title: str
    run: TrainedRun
    folder: Path
    form: Form


def open_tab(folder: str, titles: Sequence[str], device: str) -> Tab:
    """Loads a run. Raises InputError where it is none, or one of a recipe that the page does not know."""
    import seqkit
    from seqkit.find_run import find_run

    place = find_run(folder)
    run: TrainedRun = seqkit.load(place, device=device)
    name = run.recipe.name
    if name == "wlas" and getattr(run.predictor, "modality", "both") == "audio":
        name = "las"
    if name not in FORMS:
        raise InputError(f"the page must be given runs of {', '.join(FORMS)}, got {folder}, one of {name}")
    title = f"{run.recipe.name}: {place.name}"
    count = sum(other == title or other.startswith(f"{title} (") for other in titles)
    return Tab(f"{title} ({count + 1})" if count else title, run, place, FORMS[name])


def build(tabs: Sequence[Tab], scratch: Path) -> Any:
    """The page, as gradio's Blocks; `scratch` is a folder for what is uploaded and drawn."""
    gradio = import_gradio(scratch)
    with gradio.Blocks(title="seqkit", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gradio.Markdown("# seqkit\nTry your runs. What you type, upload and record stays on the machine of this page.")
        for number, tab in enumerate(tabs):
            with gradio.Tab(tab.title, elem_id=f"tab{number}"):
                build_tab(gradio, tab, number, scratch)
    return page


def build_tab(gradio: Any, tab: Tab, number: int, scratch: Path) -> None:
    """One run's inputs, examples and outputs, and what its button does."""
    clips: dict[str, Path] = {}
    with gradio.Row():
        with gradio.Column(scale=2):
            inputs = [component(gradio, tab, key, f"{key}{number}") for key in tab.form.keys]
            button = gradio.Button("Answer", variant="primary", elem_id=f"go{number}")
            if rows := example_rows(tab, scratch / f"examples{number}", clips):
                gradio.Examples(rows, inputs, label="Examples", elem_id=f"examples{number}")
        with gradio.Column(scale=3):
            problem = gradio.Markdown(visible=False, elem_classes="problem", elem_id=f"problem{number}")
            text = gradio.Textbox(label="Answer", elem_classes="answer", elem_id=f"answer{number}", lines=1)
            shown = [gradio.Image(visible=False, elem_id=f"plot{number}_{n}", **PLOT) for n in range(PLOTS)]
            video = gradio.Video(label="The words as they are said", visible=False, height=240, elem_id=f"said{number}")
            details = gradio.HTML(elem_classes="details", elem_id=f"details{number}")

    def respond(*values: Any, progress: Any = gradio.Progress()) -> Iterator[list[Any]]:  # noqa: B008
        for found in respond_to(tab, values, clips, scratch, progress):
            plots = [*found.plots, *[None] * PLOTS][:PLOTS]
            yield [
                gradio.Markdown(found.problem, visible=bool(found.problem)),
                found.text,
                *(gradio.Image(path and str(path), visible=path is not None) for path in plots),
                gradio.Video(found.video and str(found.video), visible=found.video is not None),
                found.details,
            ]

    outputs = [problem, text, *shown, video, details]
    button.click(respond, inputs, outputs, api_name=f"answer{number}", show_progress_on=text)
    for given in inputs:
        if isinstance(given, gradio.Textbox):
            given.submit(respond, inputs, outputs, api_visibility="private", show_progress_on=text)


def respond_to(
    tab: Tab, values: Sequence[Any], clips: Mapping[str, Path], scratch: Path, progress: Callable[..., object]
) -> Iterator[Answer]:
    """What the tab shows, step by step: the answer, then with its attention, or a sentence that says what is wrong."""
    if any(value is None or not str(value).strip() for value in values):
        yield Answer(problem=tab.form.missing)
        return
    yield Answer()
    given = [Path(value) if key in MEDIA else value for key, value in zip(tab.form.keys, values, strict=True)]
    whole = given[0] if len(given) == 1 else tuple(given)
    if isinstance(whole, Path):
        whole = clips.get(digest(whole), whole)
    try:
        yield from answers(tab.run, whole, Path(tempfile.mkdtemp(dir=scratch)), progress)
    except InputError as error:
        yield Answer(problem=sentence(str(error), [value for value in given if isinstance(value, Path)]))


def sentence(error: str, paths: Sequence[Path]) -> str:
    """An error as a sentence that names files as the visitor knows them, without folders of this machine."""
    for path in paths:
        error = error.replace(str(path), path.name)
    return error[:1].upper() + error[1:] + "."


def component(gradio: Any, tab: Tab, key: str, name: str) -> Any:
    """The input for one key of an item. None has gradio's button that shares what is given on a public site."""
    shown: dict[str, Any] = {"elem_id": name, "elem_classes": "given"}
    if key == "image":
        kinds = ["upload", "webcam", "clipboard"]
        return gradio.Image(
            type="filepath", format="png", sources=kinds, label="Picture", buttons=["fullscreen"], **shown
        )
    if key == "video":
        options = gradio.WebcamOptions(mirror=False)
        kinds = ["upload", "webcam"]
        return gradio.Video(sources=kinds, label="Video of a face", webcam_options=options, buttons=[], **shown)
    if key == "audio":  # as a file: pages hand floats stretched to full scale
        kinds = ["upload", "microphone"]
        return gradio.Audio(type="filepath", sources=kinds, label="Sound", buttons=["download"], **shown)
    return gradio.Textbox(label=ASKS[tab.run.recipe.name], lines=2, max_length=10_000, elem_id=name)


def example_rows(tab: Tab, folder: Path, clips: dict[str, Path]) -> list[list[str]]:
    """The values of each example; `clips` gets the clips that stand for the copies that browsers can show."""
    rows = []
    for number, item in enumerate(find_items(tab.run.recipe, tab.folder, tab.form.keys), 1):
        row = []
        for key in tab.form.keys:
            value: Any = item.references[0] if key == "references" else getattr(item, key)
            if key == "video":
                shown = folder / str(number) / f"{item.video.stem if item.video else key}.mp4"
                clip = copy_clip(item, folder / "clips")
                write_playable(clip, shown)
                clips[digest(shown)] = clip
                value = shown
            elif isinstance(value, Path):
                copied = folder / str(number) / value.name
                copied.parent.mkdir(parents=True, exist_ok=True)
                copied.write_bytes(value.read_bytes())
                value = copied
            row.append(str(value))
        rows.append(row)
    return rows


def digest(path: Path) -> str:
    """What tells one file from another, whatever its name."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def import_gradio(scratch: Path) -> Any:
    """gradio, told to send nothing and to keep what is uploaded in `scratch`. Raises InputError where it is missing."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = str(scratch)
    try:
        return importlib.import_module("gradio")
    except ModuleNotFoundError:
        raise InputError(MISSING) from None


def launch(page: Any, *, host: str, port: int | None, max_megabytes: int, wait: bool = True) -> str:
    """Serves the page; returns its address. With `wait` until it is interrupted."""
    themes = importlib.import_module("gradio").themes
    theme = themes.Default(
        primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
    _, address, _ = page.queue(max_size=20, api_open=False).launch(
        server_name=host, server_port=port, share=False, allowed_paths=[], max_file_size=max_megabytes << 20,
        show_error=False, footer_links=[], ssr_mode=False, pwa=False, mcp_server=False, enable_monitoring=False,
        run_history=False, theme=theme, css=STYLE, quiet=True, prevent_thread_lock=True, inbrowser=False,
    )  # fmt: skip
    if wait:
        print(f"{address} (Ctrl-C ends it)", flush=True)
        page.block_thread()
    return str(address)


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit page", "Try trained runs in the browser: one tab a run.")
    parser.add_argument("runs", metavar="RUN", nargs="+", help="the folder of a trained run of any recipe")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to serve at; 0.0.0.0: every machine that can reach"
    )
    parser.add_argument("--port", type=int, help="port [the first free one from 7860 on]")
    parser.add_argument("--max_megabytes", type=int, default=100, help="size of the largest upload [100]")
    add_device(parser)
    args = parse(parser, list(argv))
    if args.max_megabytes < 1:
        raise InputError(f"`--max_megabytes` must be at least 1, got {args.max_megabytes}")
    with tempfile.TemporaryDirectory(prefix="seqkit-page-") as folder:
        scratch = Path(folder).resolve()
        import_gradio(scratch)
        tabs: list[Tab] = []
        for run in args.runs:
            tabs.append(open_tab(run, [tab.title for tab in tabs], args.device))
            print(f"loaded {tabs[-1].title}", file=sys.stderr)
        launch(build(tabs, scratch), host=args.host, port=args.port, max_megabytes=args.max_megabytes)
