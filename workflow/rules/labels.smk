rule make_labels:
    input:
        pictures=ancient(paths.root),
        proposals=ancient(paths.store("proposals")),
        ready=paths.ready("proposals"),
    output:
        store=directory("<cache>/{dataset}/labels-{key}/{video}.zarr"),
        ready="<cache>/{dataset}/labels-{key}/{video}.ready.json",
    log:
        "<logs>/{dataset}/make_labels/{key}/{video}.log",
    benchmark:
        "<logs>/{dataset}/make_labels/{key}/{video}.tsv"
    conda:
        "../../envs/alba.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        dataset=paths.dataset,
        settings=paths.settings("labels"),
        revision=REVISIONS["labels"],
    shell:
        "alba label --dataset {params.dataset:q} --video {wildcards.video:q}"
        " --settings {params.settings:q} --proposals {input.proposals:q}"
        " --output {output.store:q} > {log:q} 2>&1"


rule all_labels:
    input:
        paths.everywhere(paths.videos_ready("labels", "train")),
