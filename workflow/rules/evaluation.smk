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
        "<logs>/{dataset}/evaluate_videos/reinforced.log",
    benchmark:
        "<logs>/{dataset}/evaluate_videos/reinforced.tsv"
    conda:
        "../../envs/alba.yaml"
    threads: 8
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        dataset=paths.dataset,
        split=paths.split("val"),
        protocol=paths.protocol,
        predictions=folder_of("masks"),
        folder=subpath(output.metrics, parent=True),
    shell:
        "alba evaluate --dataset {params.dataset:q} --split {params.split:q}"
        " --protocol {params.protocol:q} --predictions {params.predictions:q}"
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


rule all_metrics:
    input:
        paths.everywhere(paths.results("metrics.csv")),
