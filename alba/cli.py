"""The command line: one verb per stage; it parses, calls and prints."""

import sys
from pathlib import Path
from typing import Annotated, get_args

import typer

from alba.config import (
    ROWS,
    AssignmentSettings,
    DatasetSettings,
    FlowSettings,
    GroupingSettings,
    LabelSettings,
    ProposalSettings,
    ProtocolName,
    ReinforceSettings,
    SegmentSettings,
    SelectionSettings,
    SpritesSettings,
    load_settings,
    read_words,
)
from alba.errors import AlbaError, ConfigError

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
Output = Annotated[Path, typer.Option(help="where the result is published")]
Input = Annotated[Path, typer.Option()]
MaybeInput = Annotated[Path | None, typer.Option()]
Predictions = Annotated[Path, typer.Option(help="folder with <video>/<frame>.png")]
AllowMissing = Annotated[bool, typer.Option(help="take missing predictions as empty, and count them")]
Tracks = Annotated[
    str, typer.Option(help="YouTube-VOS: ids (track k is object k) or first-frame (chosen by its truth)")
]

DEFAULTS = "{}"


@app.command()
def sprites(output: Output, settings: Settings = DEFAULTS) -> None:
    """Make the embedded data set."""
    from alba.datasets.sprites import write_sprites

    write_sprites(load_settings(SpritesSettings, settings), output)


@app.command()
def flow(dataset: Dataset, video: VideoName, output: Output, settings: Settings = DEFAULTS) -> None:
    """Compute the optical flow of one video."""
    from alba.datasets import open_video
    from alba.flow import compute_flow

    opened = open_video(load_settings(DatasetSettings, dataset), video)
    compute_flow(opened, load_settings(FlowSettings, settings), output)


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

    opened = open_video(load_settings(DatasetSettings, dataset), video)
    compute_proposals(opened, load_settings(ProposalSettings, settings), flow, output)


@app.command()
def label(
    dataset: Dataset, video: VideoName, proposals: Input, output: Output, settings: Settings = DEFAULTS
) -> None:
    """Label the proposals of one annotated video by the greedy oracle."""
    from alba.datasets import open_video
    from alba.oracle import label_video

    opened = open_video(load_settings(DatasetSettings, dataset), video)
    label_video(opened, load_settings(LabelSettings, settings), proposals, output)


@app.command()
def train_selection(
    dataset: Dataset,
    proposals: Input,
    flow: Input,
    labels: Input,
    output: Output,
    split: Split = "train",
    settings: Settings = DEFAULTS,
) -> None:
    """Train the selection network on the labels of all videos of a split."""
    from alba.training.corpus import Corpus
    from alba.training.selection import train_selection as train

    corpus = Corpus.of(load_settings(DatasetSettings, dataset), split, proposals, flow, labels)
    train(corpus, load_settings(SelectionSettings, settings), output)


@app.command()
def train_assignment(
    dataset: Dataset,
    proposals: Input,
    flow: Input,
    labels: Input,
    selection: Input,
    output: Output,
    split: Split = "train",
    settings: Settings = DEFAULTS,
    grouping: Grouping = DEFAULTS,
) -> None:
    """Train an assignment network, relational or pairwise, on the oracle's decisions."""
    from alba.training.assignment import train_assignment as train
    from alba.training.corpus import Corpus

    corpus = Corpus.of(load_settings(DatasetSettings, dataset), split, proposals, flow, labels)
    train(
        corpus,
        selection,
        load_settings(AssignmentSettings, settings),
        load_settings(GroupingSettings, grouping),
        output,
    )


@app.command()
def reinforce(
    dataset: Dataset,
    proposals: Input,
    flow: Input,
    labels: Input,
    selection: Input,
    assignment: Input,
    output: Output,
    split: Split = "train",
    settings: Settings = DEFAULTS,
) -> None:
    """Train the assignment network by policy gradient on J&F of whole videos."""
    from alba.training.corpus import Corpus
    from alba.training.reinforce import reinforce as train

    corpus = Corpus.of(load_settings(DatasetSettings, dataset), split, proposals, flow, labels)
    train(corpus, selection, assignment, load_settings(ReinforceSettings, settings), output)


@app.command()
def segment(
    dataset: Dataset,
    video: VideoName,
    proposals: Input,
    output: Output,
    masks: Annotated[Path, typer.Option(help="folder of the indexed PNGs")],
    row: Annotated[str, typer.Option(help=f"which system: {', '.join(ROWS)}")] = "reinforced",
    settings: Settings = DEFAULTS,
    grouping: Grouping = DEFAULTS,
    flow: MaybeInput = None,
    labels: MaybeInput = None,
    selection: MaybeInput = None,
    assignment: MaybeInput = None,
) -> None:
    """Segment one video into indexed PNGs and a store."""
    from alba.datasets import open_video
    from alba.inference import segment_video
    from alba.inference.decisions import Sources

    if row not in ROWS:
        raise ConfigError(f"unknown row {row!r}", f"choose one of {', '.join(ROWS)}")
    segment_video(
        open_video(load_settings(DatasetSettings, dataset), video),
        row,
        load_settings(SegmentSettings, settings),
        load_settings(GroupingSettings, grouping),
        Sources(proposals, flow, labels, selection, assignment),
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
    jobs: Annotated[int, typer.Option(min=1, help="processes")] = 1,
    allow_missing: AllowMissing = False,
    tracks: Tracks = "ids",
    seen: Annotated[Path | None, typer.Option(help="YouTube-VOS: file of the seen categories")] = None,
) -> None:
    """Score any method's indexed PNGs by the official rules."""
    from rich.console import Console

    from alba.evaluation import evaluate as score
    from alba.evaluation import results_table
    from alba.metrics import SEEN_CATEGORIES

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
    return root or load_settings(DatasetSettings, dataset)


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

    draw_overlays(open_video(load_settings(DatasetSettings, dataset), video), masks, output)


@app.command()
def ablation(
    results: Annotated[list[str], typer.Argument(help="row=path/metrics.csv, once per row")],
    output: Output,
    figure: Annotated[Path, typer.Option(help="PNG")],
) -> None:
    """Compare the rows of the ablation."""
    from alba.reporting import compare_rows

    compare_rows(_named_paths(results), output, figure)


@app.command()
def peers(
    results: Annotated[list[str], typer.Argument(help="method=path/metrics.csv, once per method")],
    output: Output,
    figure: Annotated[Path, typer.Option(help="PNG")],
) -> None:
    """Compare the result of this system, named alba, with those of other methods."""
    from alba.reporting import compare_methods

    compare_methods(_named_paths(results), output, figure)
    show(output)


def _named_paths(results: list[str]) -> dict[str, Path]:
    return {name: Path(path) for name, _, path in (result.partition("=") for result in results)}


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
    from rich.table import Table

    if not table.is_file():
        raise ConfigError(f"{table} is missing", "let the workflow make it first")
    frame = pd.read_csv(table)
    printed = Table(title=str(table), box=box.SIMPLE_HEAD, collapse_padding=True)
    for column in frame.columns:
        is_number = pd.api.types.is_numeric_dtype(frame[column])
        printed.add_column(
            column, justify="right" if is_number else "left", overflow="fold", no_wrap=not is_number
        )
    for line in frame.itertuples(index=False):
        printed.add_row(*(f"{v:.3f}" if isinstance(v, float) else str(v) for v in line))
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
