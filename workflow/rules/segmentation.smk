rule segment_video:
    input:
        ancient(unpack(paths.segment_inputs)),
        pictures=ancient(paths.root),
        ready=paths.segment_ready,
    output:
        store=directory("<cache>/{dataset}/segment-{row}-{key}/{video}.zarr"),
        masks=directory("<cache>/{dataset}/segment-{row}-{key}/{video}"),
        ready="<cache>/{dataset}/segment-{row}-{key}/{video}.ready.json",
    log:
        "<logs>/{dataset}/segment_video/{row}-{key}/{video}.log",
    benchmark:
        "<logs>/{dataset}/segment_video/{row}-{key}/{video}.tsv"
    wildcard_constraints:
        row="|".join(row for row in ROWS if row != REFINED),
    conda:
        "../../envs/alba.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        dataset=paths.dataset,
        settings=paths.settings("segment"),
        grouping=paths.naive_grouping,
        revision=REVISIONS["segment"],
        inputs=options(("proposals", "flow", "labels", "selection", "assignment")),
    shell:
        "alba segment --dataset {params.dataset:q} --video {wildcards.video:q} --row {wildcards.row}"
        " --settings {params.settings:q} {params.grouping:q} {params.inputs:q}"
        " --output {output.store:q} --masks {output.masks:q} > {log:q} 2>&1"


rule refine_masks:
    input:
        ancient(unpack(paths.refine_inputs)),
        pictures=ancient(paths.root),
        ready=paths.refine_ready,
    output:
        store=directory("<cache>/{dataset}/segment-refined-{key}/{video}.zarr"),
        masks=directory("<cache>/{dataset}/segment-refined-{key}/{video}"),
        ready="<cache>/{dataset}/segment-refined-{key}/{video}.ready.json",
    log:
        "<logs>/{dataset}/refine_masks/{key}/{video}.log",
    benchmark:
        "<logs>/{dataset}/refine_masks/{key}/{video}.tsv"
    conda:
        "../../envs/alba.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        dataset=paths.dataset,
        tracks=paths.tracks("segment", row=REFINED),
        revision=REVISIONS["refine"],
        inputs=options(("proposals", "flow", "segmentation", "refinement")),
    shell:
        "alba refine --dataset {params.dataset:q} --video {wildcards.video:q}"
        " {params.inputs:q} --output {output.store:q} --masks {output.masks:q} > {log:q} 2>&1"


rule copy_masks:
    input:
        masks=ancient(paths.final_masks()),
        ready=paths.final_masks(".ready.json"),
    output:
        directory("<results>/{dataset}/masks/{video}"),
    log:
        "<logs>/{dataset}/copy_masks/{video}.log",
    conda:
        "../../envs/alba.yaml"
    threads: 1
    resources:
        mem_mb=200,
        runtime=10,
    shell:
        "cp -R {input.masks:q} {output:q} > {log:q} 2>&1"


rule all_masks:
    input:
        paths.everywhere(paths.results("masks/{video}")),
