rule compare_rows:
    input:
        paths.scores,
    output:
        table=report(
            "<results>/{dataset}/ablation.csv",
            caption="../report/ablation.rst",
            category="{dataset}",
            labels={"table": "ablation"},
        ),
        figure=report(
            "<results>/{dataset}/ablation.png",
            caption="../report/ablation.rst",
            category="{dataset}",
            labels={"figure": "ablation"},
        ),
        runs="<results>/{dataset}/ablation-runs.csv",
    log:
        "<logs>/{dataset}/compare_rows.log",
    benchmark:
        "<logs>/{dataset}/compare_rows.tsv"
    conda:
        "../../envs/alba.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        results=lambda wildcards, input: [
            f"{row}={path}" for row, path in zip(paths.scored_rows(wildcards), input)
        ],
    shell:
        "alba ablation --output {output.table:q} --figure {output.figure:q} --runs {output.runs:q}"
        " {params.results:q} > {log:q} 2>&1"


rule compare_peers:
    input:
        paths.method_scores,
    output:
        table=report(
            "<results>/{dataset}/peers.csv",
            caption="../report/peers.rst",
            category="{dataset}",
            labels={"table": "peers"},
        ),
        figure=report(
            "<results>/{dataset}/peers.png",
            caption="../report/peers.rst",
            category="{dataset}",
            labels={"figure": "peers"},
        ),
    log:
        "<logs>/{dataset}/compare_peers.log",
    benchmark:
        "<logs>/{dataset}/compare_peers.tsv"
    conda:
        "../../envs/alba.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        results=lambda wildcards, input: [
            f"{method}={path}" for method, path in zip(paths.methods(wildcards), input)
        ],
    shell:
        "alba peers --output {output.table:q} --figure {output.figure:q}"
        " {params.results:q} 2>&1 | tee {log:q}"


rule draw_curves:
    input:
        networks=ancient(paths.trained_networks()),
        ready=paths.trained_networks(".ready.json"),
    output:
        report(
            "<results>/{dataset}/learning-curves.png",
            caption="../report/learning-curves.rst",
            category="{dataset}",
            labels={"figure": "learning curves"},
        ),
    log:
        "<logs>/{dataset}/draw_curves.log",
    benchmark:
        "<logs>/{dataset}/draw_curves.tsv"
    conda:
        "../../envs/alba.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        checkpoints=lambda wildcards, input: [
            f"{stage}={folder}"
            for stage, folder in zip(paths.network_stages(wildcards), input.networks)
        ],
    shell:
        "alba curves --output {output:q} {params.checkpoints:q} > {log:q} 2>&1"


rule draw_overlay:
    input:
        pictures=ancient(paths.root),
        masks=ancient(paths.final_masks()),
        ready=paths.final_masks(".ready.json"),
    output:
        report(
            "<results>/{dataset}/overlays/{video}.png",
            caption="../report/overlay.rst",
            category="{dataset}",
            subcategory="overlays",
            labels={"figure": "{video}"},
        ),
    log:
        "<logs>/{dataset}/draw_overlay/{video}.log",
    benchmark:
        "<logs>/{dataset}/draw_overlay/{video}.tsv"
    conda:
        "../../envs/alba.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        dataset=paths.dataset,
    shell:
        "alba overlay --dataset {params.dataset:q} --video {wildcards.video:q}"
        " --masks {input.masks:q} --output {output:q} > {log:q} 2>&1"


rule all_ablation:
    input:
        paths.everywhere(paths.scores_of_all("ablation.csv")),


rule all_curves:
    input:
        paths.everywhere(paths.curves),


rule all_overlays:
    input:
        paths.everywhere(paths.results("overlays/{video}.png")),
