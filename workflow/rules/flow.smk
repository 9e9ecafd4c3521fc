rule estimate_flow:
    input:
        pictures=ancient(paths.root),
        generated=paths.generated,
    output:
        store=directory("<cache>/{dataset}/flow-{key}/{video}.zarr"),
        ready="<cache>/{dataset}/flow-{key}/{video}.ready.json",
    log:
        "<logs>/{dataset}/estimate_flow/{key}/{video}.log",
    benchmark:
        "<logs>/{dataset}/estimate_flow/{key}/{video}.tsv"
    conda:
        "../../envs/alba.yaml"
    threads: 1
    resources:
        gpu=paths.gpu("flow"),
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        dataset=paths.dataset,
        frames=paths.frames,
        settings=paths.settings("flow"),
        revision=REVISIONS["flow"],
    shell:
        "alba flow --dataset {params.dataset:q} --video {wildcards.video:q}"
        " --settings {params.settings:q} --output {output.store:q} > {log:q} 2>&1"


rule all_flow:
    input:
        paths.everywhere(paths.videos_ready("flow", "train", "val")),
