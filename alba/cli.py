"""The command line: one verb per stage; it parses, calls and prints."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from alba.config import (
    REFINED,
    ROWS,
    AssignmentSettings,
    CompositesSettings,
    DatasetSettings,
    FlowSettings,
    GroupingSettings,
    LabelSettings,
    MirroredSettings,
    ProposalSettings,
    ProtocolName,
    RefinementSettings,
    ReinforceSettings,
    SegmentSettings,
    SelectionSettings,
    SpritesSettings,
    find_model,
    load_mapping,
    load_settings,
    network_of,
    parse_settings,
    read_words,
)
from alba.errors import AlbaError, ConfigError

if TYPE_CHECKING:
    from alba.training.corpus import Corpus

app = typer.Typer(
    help="Zero-shot video object segmentation by grouping.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Dataset = Annotated[str, typer.Option(help="data set: JSON text, or a JSON or YAML file")]
Settings = Annotated[str, typer.Option(help="the stage's settings: JSON text, or a JSON or YAML file")]
Grouping = Annotated[str, typer.Option(help="settings of the grouping process, likewise")]
VideoName = Annotated[str, typer.Option(help="name of the video")]
Split = Annotated[str, typer.Option(help="name of the list of videos")]
Datasets = Annotated[list[str], typer.Option(help="data set: JSON text, or a file; once per data set")]
Splits = Annotated[
    list[str] | None, typer.Option(help="list of videos, once or once per data set; default: train")
]
Inputs = Annotated[list[Path], typer.Option(help="folder of stores, once per data set")]
Jobs = Annotated[int, typer.Option(min=1, help="processes")]
Output = Annotated[Path, typer.Option(help="where the result is published")]
Input = Annotated[Path, typer.Option()]
MaybeInput = Annotated[Path | None, typer.Option()]
Predictions = Annotated[Path, typer.Option(help="folder with <video>/<frame>.png")]
AllowMissing = Annotated[bool, typer.Option(help="take missing predictions as empty, and count them")]
RefinedTracks = Annotated[str, typer.Option(help="all, or main where there is one object a video")]
Tracks = Annotated[
    str, typer.Option(help="YouTube-VOS: ids (track k is object k) or first-frame (chosen by its truth)")
]

DEFAULTS = "{}"
SEGMENTED = [row for row in ROWS if row != REFINED]


@app.command()
def sprites(output: Output, settings: Settings = DEFAULTS) -> None:
    """Make the embedded data set."""
    from alba.datasets.sprites import write_sprites

    write_sprites(load_settings(SpritesSettings, settings, "--settings"), output)


@app.command()
def mirrored(
    dataset: Dataset, settings: Settings, output: Output, split: Split = "train", jobs: Jobs = 1
) -> None:
    """Make the mirror image of a data set's training videos."""
    from alba.datasets.mirrored import write_mirrored

    source = load_settings(DatasetSettings, dataset, "--dataset")
    write_mirrored(load_settings(MirroredSettings, settings, "--settings"), source, split, output, jobs)


@app.command()
def composites(
    dataset: Dataset, settings: Settings, output: Output, split: Split = "train", jobs: Jobs = 1
) -> None:
    """Paste objects of a data set's training videos into others of its training videos."""
    from alba.datasets.composites import write_composites

    source = load_settings(DatasetSettings, dataset, "--dataset")
    write_composites(load_settings(CompositesSettings, settings, "--settings"), source, split, output, jobs)


@app.command()
def flow(dataset: Dataset, video: VideoName, output: Output, settings: Settings = DEFAULTS) -> None:
    """Compute the optical flow of one video."""
    from alba.datasets import open_video
    from alba.flow import compute_flow

    opened = open_video(load_settings(DatasetSettings, dataset, "--dataset"), video)
    compute_flow(opened, load_settings(FlowSettings, settings, "--settings"), output)


@app.command()
def propose(
    dataset: Dataset,
    video: VideoName,
    output: Output,
    settings: Settings = DEFAULTS,
    flow: MaybeInput = None,
) -> None:
    """Propose masks in every frame of one video."""
    from alba.datasets import open_video
    from alba.proposals import compute_proposals

    opened = open_video(load_settings(DatasetSettings, dataset, "--dataset"), video)
    compute_proposals(opened, load_settings(ProposalSettings, settings, "--settings"), flow, output)


@app.command()
def label(
    dataset: Dataset, video: VideoName, proposals: Input, output: Output, settings: Settings = DEFAULTS
) -> None:
    """Label the proposals of one annotated video by the greedy oracle."""
    from alba.datasets import open_video
    from alba.oracle import label_video

    opened = open_video(load_settings(DatasetSettings, dataset, "--dataset"), video)
    label_video(opened, load_settings(LabelSettings, settings, "--settings"), proposals, output)


@app.command()
def train_selection(
    dataset: Datasets,
    proposals: Inputs,
    flow: Inputs,
    labels: Inputs,
    output: Output,
    split: Splits = None,
    settings: Settings = DEFAULTS,
) -> None:
    """Train the selection network on the labels of all videos of a split."""
    from alba.training.selection import train_selection as train

    corpus = _corpus(dataset, split, proposals, flow, labels)
    train(corpus, load_settings(SelectionSettings, settings, "--settings"), output)


@app.command()
def train_assignment(
    dataset: Datasets,
    proposals: Inputs,
    flow: Inputs,
    labels: Inputs,
    selection: Input,
    output: Output,
    split: Splits = None,
    settings: Settings = DEFAULTS,
    grouping: Grouping = DEFAULTS,
) -> None:
    """Train an assignment network, relational or pairwise, on the oracle's decisions."""
    from alba.training.assignment import train_assignment as train

    corpus = _corpus(dataset, split, proposals, flow, labels)
    train(
        corpus,
        selection,
        load_settings(AssignmentSettings, settings, "--settings"),
        load_settings(GroupingSettings, grouping, "--grouping"),
        output,
    )


@app.command()
def reinforce(
    dataset: Datasets,
    proposals: Inputs,
    flow: Inputs,
    labels: Inputs,
    selection: Input,
    assignment: Input,
    output: Output,
    split: Splits = None,
    settings: Settings = DEFAULTS,
    grouping: Annotated[str, typer.Option(help="what the network must have been trained under")] = "",
) -> None:
    """Train the assignment network by policy gradient on J&F of whole videos."""
    from alba.training.reinforce import reinforce as train

    corpus = _corpus(dataset, split, proposals, flow, labels)
    required = load_settings(GroupingSettings, grouping, "--grouping") if grouping else None
    train(
        corpus,
        selection,
        assignment,
        load_settings(ReinforceSettings, settings, "--settings"),
        output,
        required,
    )


@app.command()
def train_refinement(
    dataset: Datasets,
    proposals: Inputs,
    flow: Inputs,
    labels: Inputs,
    selection: Input,
    assignment: Input,
    output: Output,
    split: Splits = None,
    settings: Settings = DEFAULTS,
    tracks: RefinedTracks = "all",
    jobs: Jobs = 1,
) -> None:
    """Train the refinement network on the tracks that trained networks make."""
    from alba.training.refinement import train_refinement as train

    train(
        _corpus(dataset, split, proposals, flow, labels),
        selection,
        assignment,
        load_settings(RefinementSettings, settings, "--settings"),
        parse_settings(SegmentSettings, {"tracks": tracks}, "--tracks").tracks,
        output,
        jobs,
    )


def _corpus(
    dataset: list[str], split: list[str] | None, proposals: list[Path], flow: list[Path], labels: list[Path]
) -> "Corpus":
    from alba.training.corpus import Corpus

    splits = split or ["train"]
    splits = splits * len(dataset) if len(splits) == 1 else splits
    if len({len(given) for given in (dataset, splits, proposals, flow, labels)}) > 1:
        raise ConfigError(
            f"{len(dataset)} data sets, but not as many folders of stores or splits",
            "give --proposals, --flow and --labels once per --dataset, and --split once or as often",
        )
    sources = [load_settings(DatasetSettings, each, "--dataset") for each in dataset]
    parts = zip(sources, splits, proposals, flow, labels, strict=True)
    return Corpus.join([Corpus.of(*part) for part in parts])


@app.command()
def segment(
    dataset: Dataset,
    video: VideoName,
    proposals: Input,
    output: Output,
    masks: Annotated[Path, typer.Option(help="folder of the indexed PNGs")],
    row: Annotated[str, typer.Option(help=f"which system: {', '.join(SEGMENTED)}")] = "reinforced",
    settings: Settings = DEFAULTS,
    grouping: Annotated[
        str, typer.Option(help="settings of the grouping process; a network must be trained under them")
    ] = "",
    flow: MaybeInput = None,
    labels: MaybeInput = None,
    selection: MaybeInput = None,
    assignment: MaybeInput = None,
    model: Annotated[
        str, typer.Option(help="model that brings the networks: its folder, or its name below models")
    ] = "",
) -> None:
    """Segment one video into indexed PNGs and a store."""
    from alba.datasets import open_video
    from alba.inference import segment_video
    from alba.inference.decisions import Sources

    if row not in SEGMENTED:
        raise ConfigError(f"unknown row {row!r}", f"choose one of {', '.join(SEGMENTED)}")
    if model and (selection or assignment):
        raise ConfigError("--model beside --selection or --assignment", "give either")
    sources = Sources(proposals, flow, labels, selection, assignment)
    segment_video(
        open_video(load_settings(DatasetSettings, dataset, "--dataset"), video),
        row,
        load_settings(SegmentSettings, settings, "--settings"),
        load_settings(GroupingSettings, grouping, "--grouping") if grouping else None,
        sources.with_model(find_model(model), row) if model else sources,
        output,
        masks,
    )


@app.command()
def refine(
    dataset: Dataset,
    video: VideoName,
    proposals: Input,
    flow: Input,
    segmentation: Annotated[Path, typer.Option(help="store of the segmentation to refine")],
    output: Output,
    masks: Annotated[Path, typer.Option(help="folder of the indexed PNGs")],
    refinement: Annotated[
        Path | None, typer.Option(help="checkpoint of the refinement network, if no model is given")
    ] = None,
    model: Annotated[
        str, typer.Option(help="model that brings the network: its folder, or its name below models")
    ] = "",
) -> None:
    """Draw the tracks of one segmented video anew, into indexed PNGs and a store."""
    from alba.datasets import open_video
    from alba.inference.refine import refine_video

    if bool(model) == (refinement is not None):
        raise ConfigError("no refinement network, or two", "give either --refinement or --model")
    refine_video(
        open_video(load_settings(DatasetSettings, dataset, "--dataset"), video),
        proposals,
        flow,
        segmentation,
        refinement or network_of(find_model(model), "refinement"),
        output,
        masks,
    )


@app.command()
def evaluate(
    predictions: Predictions,
    output: Output,
    dataset: Annotated[str, typer.Option(help="data set with the ground truth: JSON, or a file")] = "",
    ground_truth: Annotated[str, typer.Option(help="root of the official data set, not --dataset")] = "",
    protocol: Annotated[str, typer.Option(help=", ".join(get_args(ProtocolName)))] = "davis17-unsupervised",
    split: Annotated[str, typer.Option(help="list of videos: its name, or a .txt of your own")] = "val",
    year: Annotated[str, typer.Option(help="DAVIS: folder of the list; default: the protocol's")] = "",
    jobs: Jobs = 1,
    allow_missing: AllowMissing = False,
    tracks: Tracks = "ids",
    seen: Annotated[Path | None, typer.Option(help="YouTube-VOS: file of the seen categories")] = None,
) -> None:
    """Score any method's indexed PNGs by the official rules."""
    from rich.console import Console

    from alba.evaluation import evaluate as score
    from alba.evaluation import results_table
    from alba.metrics import SEEN_CATEGORIES

    if seen is not None and protocol != "youtube-vos":
        raise ConfigError(f"{protocol} knows no seen categories", "leave --seen out")
    results = score(
        protocol,
        _ground_truth(dataset, ground_truth),
        predictions,
        output,
        split,
        year,
        jobs,
        allow_missing,
        tracks,
        SEEN_CATEGORIES if seen is None else read_words(seen),
    )
    Console().print(results_table(results))


@app.command()
def submission(
    predictions: Predictions,
    output: Annotated[Path, typer.Option(help="ZIP file")],
    dataset: Annotated[str, typer.Option(help="data set of layout youtube-vos: JSON, or a file")] = "",
    ground_truth: Annotated[str, typer.Option(help="root of YouTube-VOS, instead of --dataset")] = "",
    split: Split = "valid",
    allow_missing: AllowMissing = False,
    tracks: Tracks = "ids",
) -> None:
    """Write the archive that the YouTube-VOS server scores."""
    from alba.evaluation import write_submission

    source = _ground_truth(dataset, ground_truth)
    missing = write_submission(source, predictions, output, split, tracks, allow_missing)
    print(f"{output}: {missing} missing frames handed in as empty")


def _ground_truth(dataset: str, root: str) -> str | DatasetSettings:
    if bool(dataset) == bool(root):
        raise ConfigError("no ground truth, or two of them", "give either --dataset or --ground-truth")
    return root or load_settings(DatasetSettings, dataset, "--dataset")


@app.command()
def overlay(
    dataset: Dataset,
    video: VideoName,
    masks: Annotated[Path, typer.Option(help="folder of the video's indexed PNGs")],
    output: Output,
) -> None:
    """Draw a segmentation over frames of its video."""
    from alba.datasets import open_video
    from alba.reporting import draw_overlays

    draw_overlays(open_video(load_settings(DatasetSettings, dataset, "--dataset"), video), masks, output)


@app.command()
def ablation(
    results: Annotated[list[str], typer.Argument(help="row=path/metrics.csv, once per row and run")],
    output: Output,
    figure: Annotated[Path, typer.Option(help="PNG")],
    runs: Annotated[Path, typer.Option(help="CSV file of the single runs")],
) -> None:
    """Compare the rows of the ablation; a row of several runs with its 95 % interval."""
    from alba.reporting import compare_rows

    compare_rows(_named_paths(results), output, figure, runs)


@app.command()
def peers(
    results: Annotated[list[str], typer.Argument(help="method=path/metrics.csv, once per method")],
    output: Output,
    figure: Annotated[Path, typer.Option(help="PNG")],
) -> None:
    """Compare the result of this system, named alba, with those of other methods."""
    from alba.reporting import compare_methods

    compare_methods(_distinct(results), output, figure)
    show(output)


def _named_paths(words: list[str]) -> list[tuple[str, Path]]:
    """Both parts of each ``name=path``."""
    pairs = [(name, path) for name, _, path in (word.partition("=") for word in words)]
    for word, pair in zip(words, pairs, strict=True):
        if not all(pair):
            raise ConfigError(f"{word!r} is not name=path", "give a name, = and a path")
    return [(name, Path(path)) for name, path in pairs]


def _distinct(words: list[str]) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for name, path in _named_paths(words):
        if name in paths:
            raise ConfigError(f"{paths[name]} and {path} are both called {name}", "give each its own name")
        paths[name] = path
    return paths


@app.command()
def export_model(
    networks: Annotated[list[str], typer.Argument(help="stage=checkpoint folder, once per network")],
    metrics: Annotated[list[str], typer.Option(help="row=path/metrics.csv, once per row")],
    dataset: Annotated[str, typer.Option(help="name of the data set that was scored")],
    licence: Annotated[str, typer.Option(help="of what the networks were trained on")],
    configuration: Annotated[str, typer.Option(help="settings that they follow from: JSON, or a file")],
    output: Annotated[Path, typer.Option(help="models/<name>")],
) -> None:
    """Make a model of trained networks, to be used without training."""
    from alba.inference.model import export_model as export

    export(
        _distinct(networks),
        _distinct(metrics),
        dataset,
        licence,
        load_mapping(configuration, "--configuration"),
        output,
    )


@app.command()
def models(folder: Annotated[Path, typer.Argument(help="holds the models")] = Path("models")) -> None:
    """List models with their figures, as Markdown."""
    from alba.inference.model import describe_models

    print(describe_models(folder), end="")


@app.command()
def curves(
    checkpoints: Annotated[list[str], typer.Argument(help="stage=path/checkpoint, once per stage")],
    output: Annotated[Path, typer.Option(help="PNG")],
) -> None:
    """Draw the learning curves of checkpoints."""
    from alba.reporting.curves import draw_curves

    draw_curves(_distinct(checkpoints), output)


@app.command()
def backends() -> None:
    """List the backends of flow and proposals with their settings."""
    from alba.config.listing import backends_text

    print(backends_text(), end="")


@app.command()
def show(table: Annotated[Path, typer.Argument(help="CSV file")]) -> None:
    """Print a table of results."""
    import pandas as pd
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from alba.tables import read_table

    frame = read_table(table, "let the workflow make it first")
    printed = Table(title=escape(str(table)), box=box.SIMPLE_HEAD, collapse_padding=True)
    for column in frame.columns:
        is_number = pd.api.types.is_numeric_dtype(frame[column])
        printed.add_column(
            escape(column), justify="right" if is_number else "left", overflow="fold", no_wrap=not is_number
        )
    for line in frame.itertuples(index=False):
        words = ("" if pd.isna(v) else f"{v:.3f}" if isinstance(v, float) else str(v) for v in line)
        printed.add_row(*map(escape, words))
    Console().print(printed)


def main() -> None:
    """Entry point; a user's mistake is one line on standard error and exit status 1."""
    try:
        app()
    except AlbaError as error:
        print(f"alba: error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
