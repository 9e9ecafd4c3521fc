rule evaluate_videos:
    input:
        pictures=ancient(paths.root),
        masks=ancient(paths.segmented()),
        ready=paths.segmented(".ready.json"),
    output:
        metrics=report(
            "<results>/{dataset}/metrics.csv",
            caption="../report/metrics.rst",
            category="{dataset}",
            labels={"table": "metrics of the whole system"},
        ),
        per_object="<results>/{dataset}/per-object.csv",
        per_frame="<results>/{dataset}/per-frame.csv",
        results="<results>/{dataset}/results.json",
    log:
        "<logs>/{dataset}/evaluate_videos/final.log",
    benchmark:
        "<logs>/{dataset}/evaluate_videos/final.tsv"
    conda:
        "../../envs/alba.yaml"
    threads: 8
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        dataset=paths.dataset,
        split=paths.split("val"),
        protocol=paths.evaluation("protocol"),
        tracks=paths.evaluation("tracks"),
        predictions=folder_of("masks"),
        folder=subpath(output.metrics, parent=True),
    shell:
        "alba evaluate --dataset {params.dataset:q} --split {params.split:q}"
        " --protocol {params.protocol:q} --tracks {params.tracks:q} --predictions {params.predictions:q}"
        " --output {params.folder:q} --jobs {threads} 2>&1 | tee {log:q}"


use rule evaluate_videos as evaluate_row with:
    output:
        metrics="<results>/{dataset}/{row}/metrics.csv",
        per_object="<results>/{dataset}/{row}/per-object.csv",
        per_frame="<results>/{dataset}/{row}/per-frame.csv",
        results="<results>/{dataset}/{row}/results.json",
    log:
        "<logs>/{dataset}/evaluate_videos/{row}.log",
    benchmark:
        "<logs>/{dataset}/evaluate_videos/{row}.tsv"


use rule evaluate_videos as evaluate_run with:
    output:
        metrics="<results>/{dataset}/seeds/{seed}/{row}/metrics.csv",
        per_object="<results>/{dataset}/seeds/{seed}/{row}/per-object.csv",
        per_frame="<results>/{dataset}/seeds/{seed}/{row}/per-frame.csv",
        results="<results>/{dataset}/seeds/{seed}/{row}/results.json",
    log:
        "<logs>/{dataset}/evaluate_videos/{row}-{seed}.log",
    benchmark:
        "<logs>/{dataset}/evaluate_videos/{row}-{seed}.tsv"


rule evaluate_peer:
    input:
        pictures=ancient(paths.root),
        generated=paths.generated,
        masks=ancient(paths.peer_masks),
    output:
        metrics="<results>/{dataset}/peers/{method}/metrics.csv",
        per_object="<results>/{dataset}/peers/{method}/per-object.csv",
        per_frame="<results>/{dataset}/peers/{method}/per-frame.csv",
        results="<results>/{dataset}/peers/{method}/results.json",
    log:
        "<logs>/{dataset}/evaluate_peer/{method}.log",
    benchmark:
        "<logs>/{dataset}/evaluate_peer/{method}.tsv"
    conda:
        "../../envs/alba.yaml"
    threads: 8
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        dataset=paths.dataset,
        split=paths.split("val"),
        protocol=paths.evaluation("protocol"),
        tracks=paths.evaluation("tracks"),
        files=paths.peer_files,
        folder=subpath(output.metrics, parent=True),
    shell:
        "alba evaluate --dataset {params.dataset:q} --split {params.split:q}"
        " --protocol {params.protocol:q} --tracks {params.tracks:q} --predictions {input.masks:q}"
        " --output {params.folder:q} --jobs {threads} 2>&1 | tee {log:q}"


rule all_metrics:
    input:
        paths.everywhere(paths.scores_of_all("metrics.csv")),
