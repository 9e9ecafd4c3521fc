rule make_proposals:
    input:
        pictures=ancient(paths.root),
        generated=paths.generated,
        flow=ancient(paths.flow_of_proposals(".zarr")),
        ready=paths.flow_of_proposals(".ready.json"),
    output:
        store=directory("<cache>/{dataset}/proposals-{key}/{video}.zarr"),
        ready="<cache>/{dataset}/proposals-{key}/{video}.ready.json",
    log:
        "<logs>/{dataset}/make_proposals/{key}/{video}.log",
    benchmark:
        "<logs>/{dataset}/make_proposals/{key}/{video}.tsv"
    conda:
        "../../envs/alba.yaml"
    threads: 1
    resources:
        gpu=paths.gpu("proposals"),
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        dataset=paths.dataset,
        frames=paths.frames,
        settings=paths.settings("proposals"),
        revision=REVISIONS["proposals"],
        flow=options(("flow",)),
    shell:
        "alba propose --dataset {params.dataset:q} --video {wildcards.video:q}"
        " --settings {params.settings:q} {params.flow:q} --output {output.store:q} > {log:q} 2>&1"


rule all_proposals:
    input:
        paths.everywhere(paths.videos_ready("proposals", "train", "val")),
