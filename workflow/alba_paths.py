"""Where the workflow's files lie and what its jobs read, as functions of the configuration.

`<cache>` and `<results>` are Snakemake's path variables; the Snakefile, or a workflow that imports it,
gives them their values.
"""

import json
import os
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from alba_datasets import NAME, DataSets

from alba.config import (
    GROUPED,
    NAIVE,
    NETWORKS,
    NETWORKS_OF_ROW,
    REFINED,
    ROWS,
    Configuration,
    find_model,
    network_of,
    network_settings,
    stage_key,
)
from alba.datasets import open_video
from alba.errors import ConfigError, DatasetError

GENERATED = ("sprites", "mirrored", "composites")
"""Kinds of generated data sets, each a stage."""

OWN = "alba"
"""What this system is called beside its peers."""

_STORES_OF_ROW = {"proposals": ("proposals",), "oracle": ("proposals", "labels")}

_DATASET_KEYS = {"layout", "resolution", "image_set"}


class Paths:
    """Paths and parameters of all jobs under one configuration.

    Methods that take `wildcards` are Snakemake input and parameter functions; methods that take the name
    of a stage return one.

    Parameters
    ----------
    configuration : Configuration
    """

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.datasets = DataSets(configuration)
        self.key = cache(partial(stage_key, configuration))
        self.stages = self.datasets.stages
        self._seeds = {0}.union(*(self.stages(name).ablation.seeds for name in configuration.datasets))
        self._seeds_by_key = cache(self._find_seeds)

    # Data sets

    def root(self, wildcards: Any) -> str:
        """Folder that holds a data set."""
        name = wildcards.dataset
        dataset = self.datasets.settings(name)
        if dataset.generate is not None:
            return self.folder(name, dataset.generate.kind)
        return os.path.normpath(Path(self.configuration.data_root) / dataset.root)

    def generated(self, wildcards: Any) -> list[str]:
        """Marker of a generated data set; a real one has none."""
        generate = self.datasets.settings(wildcards.dataset).generate
        return [] if generate is None else [f"{self.folder(wildcards.dataset, generate.kind)}.ready.json"]

    def dataset(self, wildcards: Any, input: Any) -> str:
        """What a command must know to read a data set, as JSON; the root is the input `pictures`."""
        settings = self.datasets.settings(wildcards.dataset)
        settings = settings.model_copy(update={"root": str(input.pictures)})
        return settings.model_dump_json(include=_DATASET_KEYS | {"root"})

    def frames(self, wildcards: Any) -> str:
        """First and last frame of a video and their number: frames that come or go make a job run again.

        Unlike the time of a folder it survives a copy. Generated frames follow from their marker.
        """
        dataset = self.datasets.settings(wildcards.dataset)
        if dataset.generate is not None:
            return ""
        video = open_video(self.datasets.on_disk(wildcards.dataset), wildcards.video)
        first, last = video.frame_paths[0].name, video.frame_paths[-1].name
        return f"{first}..{last} ({len(video)})"

    def split(self, purpose: str) -> Callable[[Any], str]:
        """Name of the list of videos to "train" on or to validate on ("val")."""
        return lambda wildcards: getattr(self.datasets.settings(wildcards.dataset), f"{purpose}_split")

    def source_root(self, wildcards: Any) -> str:
        """Folder that holds the data set which another one is made from."""
        return self.root(self._source(wildcards))

    def source_generated(self, wildcards: Any) -> list[str]:
        """Marker of the data set which another one is made from, if it is generated itself."""
        return self.generated(self._source(wildcards))

    def source_dataset(self, wildcards: Any, input: Any) -> str:
        """What a command must know to read the data set which another one is made from, as JSON."""
        return self.dataset(self._source(wildcards), input)

    def source_split(self, wildcards: Any) -> str:
        """Name of the list of its training videos."""
        return self.split("train")(self._source(wildcards))

    def source_videos(self, wildcards: Any) -> list[str]:
        """Names of its training videos: a change of the list makes the job run again."""
        return self.datasets.videos(self._source(wildcards).dataset, "train")

    def _source(self, wildcards: Any) -> SimpleNamespace:
        name = self.datasets.settings(wildcards.dataset).source
        if not name:
            raise ConfigError(f"data set {wildcards.dataset} is made from no other", "ask for another file")
        return SimpleNamespace(dataset=name)

    # Stages

    def folder(self, dataset: str, stage: str, row: str = "", seed: int = 0) -> str:
        """Folder of a stage's outputs in one run; its name holds the key of all that they follow from."""
        name = f"{stage}-{row}" if row else stage
        return f"<cache>/{dataset}/{name}-{self.key(dataset, stage, row, seed)}"

    def settings(self, stage: str, part: str = "") -> Callable[[Any], str]:
        """Settings of a stage as JSON, or of another part of the settings that the stage needs."""

        def of(wildcards: Any) -> str:
            self._check_key(wildcards, stage)
            generate = self.datasets.settings(wildcards.dataset).generate
            if generate is not None and stage == generate.kind:
                return generate.model_dump_json()
            stages = self.stages(wildcards.dataset, self._seed(wildcards))
            if stage == "refinement":
                return json.dumps(network_settings(stages.refinement))
            return getattr(stages, part or stage).model_dump_json()

        return of

    def _check_key(self, wildcards: Any, stage: str, row: str = "") -> None:
        """Refuse to make, under these settings, a file whose name stands for others."""
        generate = self.datasets.settings(wildcards.dataset).generate
        if stage in GENERATED and (generate is None or generate.kind != stage):
            raise ConfigError(f"data set {wildcards.dataset} is no {stage}", "ask for another file")
        key = getattr(wildcards, "key", "")
        row = row or getattr(wildcards, "row", "")
        if key and key != self.key(wildcards.dataset, stage, row, self._seed(wildcards)):
            raise ConfigError(f"{stage}-{key} belongs to other settings", "ask for a file of the results")

    def _seed(self, wildcards: Any) -> int:
        """The run that a file belongs to: results name it, the key of a network or segmentation tells it."""
        if hasattr(wildcards, "seed"):
            return self._run_of(int(wildcards.seed))
        key = getattr(wildcards, "key", "")
        return self._seeds_by_key(wildcards.dataset).get(key, 0) if key else 0

    def _run_of(self, seed: int) -> int:
        """The run that results name, if there is one."""
        if seed not in self._seeds:
            raise ConfigError(
                f"there is no run {seed}: ablation.seeds is {sorted(self._seeds)}",
                f"add {seed} to ablation.seeds, or ask for a run of these",
            )
        return seed

    def _find_seeds(self, dataset: str) -> dict[str, int]:
        """The run of each key that depends on it."""
        rows = () if self.configuration.models_of(dataset) else ROWS
        outputs = [(stage, "") for stage in NETWORKS] + [("segment", row) for row in rows]
        return {
            self.key(dataset, stage, row, seed): seed
            for seed in sorted(self._seeds, reverse=True)  # what is the same in all runs belongs to the first
            for stage, row in outputs
        }

    def gpu(self, stage: str) -> Callable[[Any], int]:
        """GPUs that a stage may use: one unless its settings, or those of its backend, keep it on the CPU."""

        def num(wildcards: Any) -> int:
            settings = getattr(self.stages(wildcards.dataset), stage)
            options = getattr(settings, "options", None)
            device = settings.device if options is None else options.get("device", "cpu")
            return int(device != "cpu")

        return num

    def store(self, stage: str) -> Callable[[Any], str]:
        """Store of one video."""
        return lambda wildcards: f"{self.folder(wildcards.dataset, stage)}/{wildcards.video}.zarr"

    def ready(self, *stages: str) -> Callable[[Any], list[str]]:
        """Markers of one video's stores."""
        return lambda wildcards: [
            f"{self.folder(wildcards.dataset, stage)}/{wildcards.video}.ready.json" for stage in stages
        ]

    def flow_of_proposals(self, suffix: str) -> Callable[[Any], list[str]]:
        """Flow of a video where the proposal backend looks at it, else nothing."""

        def of(wildcards: Any) -> list[str]:
            if not self.stages(wildcards.dataset).proposals.uses_flow:
                return []
            return [f"{self.folder(wildcards.dataset, 'flow')}/{wildcards.video}{suffix}"]

        return of

    # Networks

    def training_roots(self, wildcards: Any) -> list[str]:
        """Folders of the data sets that a data set's networks learn from."""
        return [self.root(each) for each in self._training_sets(wildcards)]

    def training_stores(self, stage: str, suffix: str = ".zarr") -> Callable[[Any], list[str]]:
        """Stores of all training videos."""
        return lambda wildcards: [
            path
            for each in self._training_sets(wildcards)
            for path in self.each_video(each.dataset, "train", stage, suffix)
        ]

    def training_ready(self, *stages: str) -> Callable[[Any], list[str]]:
        """Markers of the stores of all training videos."""
        return lambda wildcards: [
            path for stage in stages for path in self.training_stores(stage, ".ready.json")(wildcards)
        ]

    def corpus(self, wildcards: Any, input: Any) -> list[str]:
        """Words of a command line: what to learn from, data set by data set."""
        folders = [
            list(dict.fromkeys(str(Path(store).parent) for store in input.get(stage)))
            for stage in ("proposals", "flow", "labels")
        ]
        words = []
        parts = zip(self._training_sets(wildcards), input.pictures, *folders, strict=True)
        for each, root, proposals, flow, labels in parts:
            dataset = self.dataset(each, SimpleNamespace(pictures=root))
            words += ["--dataset", dataset, "--split", self.split("train")(each)]
            words += ["--proposals", proposals, "--flow", flow, "--labels", labels]
        return words

    def _training_sets(self, wildcards: Any) -> list[SimpleNamespace]:
        self.datasets.require_training_videos(wildcards.dataset)
        names = self.configuration.training_sets(wildcards.dataset)
        return [SimpleNamespace(dataset=name) for name in names]

    def network(self, stage: str, suffix: str = "") -> Callable[[Any], str]:
        """Folder of a data set's own network of the same run, or with `suffix` ".ready.json" its marker."""
        return lambda wildcards: self.folder(wildcards.dataset, stage, seed=self._seed(wildcards)) + suffix

    def each_video(
        self, dataset: str, purpose: str, stage: str, suffix: str, row: str = "", seed: int = 0
    ) -> list[str]:
        """One path for each video of a list."""
        folder = self.folder(dataset, stage, row, seed)
        return [f"{folder}/{video}{suffix}" for video in self.datasets.videos(dataset, purpose)]

    # Segmentation and scores

    def segment_inputs(self, wildcards: Any) -> dict[str, str]:
        """Stores and networks that a row of the ablation reads, by the name of the command's option."""
        stores = _STORES_OF_ROW.get(wildcards.row, ("proposals", "flow"))
        networks = self._networks(wildcards, wildcards.row)
        return {stage: self.store(stage)(wildcards) for stage in stores} | networks

    def segment_ready(self, wildcards: Any) -> list[str]:
        """Markers of `segment_inputs`."""
        stores = _STORES_OF_ROW.get(wildcards.row, ("proposals", "flow"))
        return self.ready(*stores)(wildcards) + self._networks_ready(wildcards, wildcards.row)

    def naive_grouping(self, wildcards: Any) -> list[str]:
        """Words of a command line: settings of the grouping for rows that no network groups."""
        if wildcards.row not in NAIVE:
            return []
        return ["--grouping", self.settings("segment", part="grouping")(wildcards)]

    def refine_inputs(self, wildcards: Any) -> dict[str, str]:
        """Stores and network that a refinement reads, by the name of the command's option."""
        stores = {stage: self.store(stage)(wildcards) for stage in ("proposals", "flow")}
        networks = self._networks(wildcards, REFINED)
        return {**stores, "segmentation": f"{self._grouped(wildcards)}.zarr", **networks}

    def refine_ready(self, wildcards: Any) -> list[str]:
        """Markers of `refine_inputs`."""
        stores = [*self.ready("proposals", "flow")(wildcards), f"{self._grouped(wildcards)}.ready.json"]
        return stores + self._networks_ready(wildcards, REFINED)

    def _grouped(self, wildcards: Any) -> str:
        folder = self.folder(wildcards.dataset, "segment", GROUPED, self._seed(wildcards))
        return f"{folder}/{wildcards.video}"

    def _networks_ready(self, wildcards: Any, row: str) -> list[str]:
        given = self.configuration.models_of(wildcards.dataset)
        networks = [] if given else self._networks(wildcards, row).values()
        return [f"{folder}.ready.json" for folder in networks]

    def _networks(self, wildcards: Any, row: str) -> dict[str, str]:
        trainer = self.configuration.trainer_of(wildcards.dataset)
        if row == "relational" and self._groups_by_pairs(wildcards.dataset):
            raise ConfigError(
                f"assignment.network of datasets.{trainer} is pairwise, there is no row relational",
                "ask for row pairwise or reinforced",
            )
        networks = NETWORKS_OF_ROW.get(row, {})
        model = self.configuration.models_of(wildcards.dataset)
        if model and networks:
            folder = find_model(model)
            return {option: str(network_of(folder, stage)) for option, stage in networks.items()}
        seed = self._seed(wildcards)
        return {option: self.folder(trainer, stage, seed=seed) for option, stage in networks.items()}

    def tracks(self, stage: str, row: str = "") -> Callable[[Any], str]:
        """Which tracks count, "all" or "main"; refuses to work under another key."""

        def of(wildcards: Any) -> str:
            self._check_key(wildcards, stage, row)
            return self.stages(wildcards.dataset).segment.tracks

        return of

    def _rows(self, dataset: str) -> list[str]:
        """Rows of a data set's ablation: refined and relational ones where there are such tracks."""
        absent = set() if self.stages(dataset).refinement.apply else {REFINED}
        if self._groups_by_pairs(dataset):
            absent.add("relational")
        return [row for row in ROWS if row not in absent]

    def _groups_by_pairs(self, dataset: str) -> bool:
        """Whether the network that policy gradient goes on training is the ablation's simple one."""
        if self.configuration.models_of(dataset):
            return False
        return self.stages(self.configuration.trainer_of(dataset)).assignment.network == "pairwise"

    def _final_row(self, dataset: str) -> str:
        """The row of the ablation that is the whole system."""
        return REFINED if REFINED in self._rows(dataset) else GROUPED

    def segmented(self, suffix: str = "") -> Callable[[Any], list[str]]:
        """Folders of PNGs of all validation videos, or with `suffix` ".ready.json" their markers."""
        return lambda wildcards: self.each_video(
            wildcards.dataset,
            "val",
            "segment",
            suffix,
            getattr(wildcards, "row", "") or self._final_row(wildcards.dataset),
            self._seed(wildcards),
        )

    def final_masks(self, suffix: str = "") -> Callable[[Any], str]:
        """Folder of one video's PNGs under the whole system, or its marker."""

        def of(wildcards: Any) -> str:
            folder = self.folder(wildcards.dataset, "segment", self._final_row(wildcards.dataset))
            return f"{folder}/{wildcards.video}{suffix}"

        return of

    def evaluation(self, setting: str) -> Callable[[Any], str]:
        """A setting of the rules by which a data set is scored."""
        return lambda wildcards: str(getattr(self.datasets.rules(wildcards.dataset), setting))

    def scores(self, wildcards: Any) -> list[str]:
        """Metrics of `scored_rows`, in that order."""
        self.datasets.require_sound(wildcards.dataset)
        return [path for _, path in self._scored(wildcards.dataset)]

    def scored_rows(self, wildcards: Any) -> list[str]:
        """Rows of the ablation, each as often as there are runs of it; without a network there is one."""
        return [row for row, _ in self._scored(wildcards.dataset)]

    def _scored(self, dataset: str) -> list[tuple[str, str]]:
        runs = {}
        for row in self._rows(dataset):
            for seed in self.stages(dataset).ablation.seeds:
                key = self.key(dataset, "segment", row, seed)
                own = key != self.key(dataset, "segment", row)
                runs[key] = row, self._metrics(dataset, row, seed if own else 0)
        return list(runs.values())

    def _metrics(self, dataset: str, row: str, seed: int = 0) -> str:
        folder = f"seeds/{seed}/{row}/" if seed else "" if row == self._final_row(dataset) else f"{row}/"
        return f"<results>/{dataset}/{folder}metrics.csv"

    # Models

    def trained_networks(self, suffix: str = "") -> Callable[[Any], list[str]]:
        """Folders of all networks of a data set, or with `suffix` ".ready.json" their markers."""

        def of(wildcards: Any) -> list[str]:
            if self.configuration.models_of(wildcards.dataset):
                raise ConfigError(
                    f"the networks of {wildcards.dataset} are given, not trained",
                    "leave models empty to train",
                )
            trainer = self.configuration.trainer_of(wildcards.dataset)
            return [self.folder(trainer, stage) + suffix for stage in self.network_stages(wildcards)]

        return of

    def network_stages(self, wildcards: Any) -> list[str]:
        """Stages that train the networks of a data set."""
        networks = [NETWORKS_OF_ROW[row].values() for row in self.served_rows(wildcards)]
        return list(dict.fromkeys(stage for stages in networks for stage in stages))

    def served_rows(self, wildcards: Any) -> list[str]:
        """Rows of a data set's ablation that need networks."""
        return [row for row in self._rows(wildcards.dataset) if row in NETWORKS_OF_ROW]

    def exported_scores(self, wildcards: Any) -> list[str]:
        """Metrics of `served_rows`, of run 0."""
        self.datasets.require_sound(wildcards.dataset)
        return [self._metrics(wildcards.dataset, row) for row in self.served_rows(wildcards)]

    def licences(self, wildcards: Any) -> str:
        """Licences of what the networks of a data set learn from."""
        known = {
            source: self.datasets.settings(source).licence or "not stated"
            for name in self.configuration.training_sets(self.configuration.trainer_of(wildcards.dataset))
            for source in [self.datasets.settings(name).source or name]
        }
        return "; ".join(f"{name}: {licence}" for name, licence in known.items())

    def training_configuration(self, wildcards: Any) -> str:
        """All settings that the networks of a data set follow from, as JSON of the shape of `config.yaml`."""
        trainer = self.configuration.trainer_of(wildcards.dataset)
        learnt_from = self.configuration.training_sets(trainer)
        sources = [self.datasets.settings(name).source for name in learnt_from]
        names = dict.fromkeys(filter(None, (*sources, *learnt_from, wildcards.dataset)))
        datasets = {
            name: self.datasets.settings(name).model_dump(mode="json", exclude_defaults=True)
            for name in names
        }
        stages = self.configuration.stages.model_dump(mode="json")
        return json.dumps({"datasets": datasets, "stages": stages})

    # Peers

    def peer_masks(self, wildcards: Any) -> str:
        """Folder of another method's PNGs, a folder per video."""
        return str(self._peers_root(wildcards.dataset) / wildcards.method)

    def peer_files(self, wildcards: Any) -> str:
        """Number and size of a method's files: masks that change make it be scored again."""
        sizes = [path.stat().st_size for path in Path(self.peer_masks(wildcards)).glob("*/*.png")]
        return f"{len(sizes)} files, {sum(sizes)} bytes"

    def methods(self, wildcards: Any) -> list[str]:
        """Names of what is compared: the system itself and every folder below the configured one."""
        root = self._peers_root(wildcards.dataset)
        if not root.is_dir():
            raise DatasetError(f"folder of peers {root} does not exist", "put one folder per method there")
        names = sorted(path.name for path in root.iterdir() if path.is_dir())
        for name in names:
            if not re.fullmatch(NAME, name) or name == OWN:
                raise DatasetError(f"{root}: method name {name!r}", "use letters, digits, - and _, not alba")
        return [OWN, *names]

    def method_scores(self, wildcards: Any) -> list[str]:
        """Metrics of `methods`, in that order."""
        folder = f"<results>/{wildcards.dataset}"
        peers = [f"{folder}/peers/{name}/metrics.csv" for name in self.methods(wildcards)[1:]]
        self.datasets.require_sound(wildcards.dataset)
        return [f"{folder}/metrics.csv", *peers]

    def _peers_root(self, name: str) -> Path:
        peers = self.datasets.settings(name).peers
        if not peers:
            raise ConfigError(f"datasets.{name}.peers is empty", "name the folder of other methods' masks")
        return Path(os.path.normpath(Path(self.configuration.data_root) / peers))

    # Targets

    def scores_of_all(self, name: str) -> Callable[[Any], list[str]]:
        """A table of a data set's results; none where there is no ground truth to score by."""
        table = self.results(name)
        return lambda wildcards: table(wildcards) if self.datasets.has_truth(wildcards.dataset) else []

    def results(self, pattern: str) -> Callable[[Any], list[str]]:
        """Files below a data set's results; with `{video}` in the pattern, one a validation video.

        None for a data set that is there to train on only.
        """

        def of(wildcards: Any) -> list[str]:
            if not self.split("val")(wildcards):
                return []
            self.datasets.require_sound(wildcards.dataset)
            videos = self.datasets.videos(wildcards.dataset, "val") if "{video}" in pattern else [""]
            return [f"<results>/{wildcards.dataset}/{pattern.format(video=video)}" for video in videos]

        return of

    def videos_ready(self, stage: str, *purposes: str) -> Callable[[Any], list[str]]:
        """Markers of a stage for the videos of the lists that a data set has and needs."""
        return lambda wildcards: [
            path
            for purpose in purposes
            if self.split(purpose)(wildcards)
            and (purpose == "val" or self.datasets.is_learned_from(wildcards.dataset))
            for path in self.each_video(wildcards.dataset, purpose, stage, ".ready.json")
        ]

    def networks(self, wildcards: Any) -> list[str]:
        """Markers of the networks that a data set needs.

        None where they are given, where there is nothing to segment with them, or nothing to train them on.
        """
        trainer = self.configuration.trainer_of(wildcards.dataset)
        if not self._is_served(wildcards) or not self.datasets.settings(trainer).train_split:
            return []
        return self.trained_networks(".ready.json")(wildcards)

    def curves(self, wildcards: Any) -> list[str]:
        """Picture of the learning curves of the networks that are trained for a data set."""
        served = self._is_served(wildcards)
        return self.results("learning-curves.png")(wildcards) if served else []

    def _is_served(self, wildcards: Any) -> bool:
        """Whether a data set has videos to segment with networks that are trained for it."""
        given = self.configuration.models_of(wildcards.dataset)
        return bool(self.split("val")(wildcards)) and not given

    def of(self, name: str, *files: Callable[[Any], list[str]]) -> Callable[[Any], list[str]]:
        """Files of the data set of that name."""
        return lambda wildcards: [path for each in files for path in each(SimpleNamespace(dataset=name))]

    def everywhere(self, files: Callable[[Any], list[str]]) -> Callable[[Any], list[str]]:
        """Files of every data set that is generated or present on disk."""
        return lambda wildcards: [
            path for name in self.datasets.installed() for path in self.of(name, files)(wildcards)
        ]


def options(names: tuple[str, ...]) -> Callable[[Any, Any], list[str]]:
    """Words of a command line, ``--name path`` for each of the names that is among a job's inputs."""

    def words(wildcards: Any, input: Any) -> list[str]:
        present = [name for name in names if input.get(name)]
        return [word for name in present for word in (f"--{name}", str(input.get(name)))]

    return words


def folder_of(name: str) -> Callable[[Any, Any], str]:
    """Folder that holds all files of an input."""
    return lambda wildcards, input: str(Path(input.get(name)[0]).parent)
