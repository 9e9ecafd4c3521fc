# What is to be shipped goes into models/ by hand: `make model DATASET=davis16 NAME=davis16-regions`.
rule export_model:
    input:
        networks=ancient(paths.trained_networks()),
        ready=paths.trained_networks(".ready.json"),
        scores=paths.exported_scores,
    output:
        directory("<results>/{dataset}/model"),
    log:
        "<logs>/{dataset}/export_model.log",
    conda:
        "../../envs/alba.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=10,
    params:
        networks=lambda wildcards, input: [
            f"{stage}={path}"
            for stage, path in zip(paths.network_stages(wildcards), input.networks)
        ],
        scores=lambda wildcards, input: [
            word
            for row, path in zip(paths.served_rows(wildcards), input.scores)
            for word in ("--metrics", f"{row}={path}")
        ],
        licence=paths.licences,
        configuration=paths.training_configuration,
    shell:
        "alba export-model {params.networks:q} {params.scores:q} --dataset {wildcards.dataset:q}"
        " --licence {params.licence:q} --configuration {params.configuration:q} --output {output:q}"
        " > {log:q} 2>&1"
