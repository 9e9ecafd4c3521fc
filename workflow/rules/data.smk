rule generate_sprites:
    output:
        pictures=directory("<cache>/{dataset}/sprites-{key}"),
        ready="<cache>/{dataset}/sprites-{key}.ready.json",
    log:
        "<logs>/{dataset}/generate_sprites/{key}.log",
    benchmark:
        "<logs>/{dataset}/generate_sprites/{key}.tsv"
    conda:
        "../../envs/alba.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        settings=paths.settings("sprites"),
        revision=REVISIONS["sprites"],
    shell:
        "alba sprites --settings {params.settings:q} --output {output.pictures:q} 2>&1 | tee {log:q}"


rule all_data:
    input:
        paths.everywhere(paths.generated),
