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


# What is made from another data set reads the list and the videos that that one trains on, and no others.
rule generate_composites:
    input:
        pictures=ancient(paths.source_root),
        generated=paths.source_generated,
    output:
        pictures=directory("<cache>/{dataset}/composites-{key}"),
        ready="<cache>/{dataset}/composites-{key}.ready.json",
    log:
        "<logs>/{dataset}/generate_composites/{key}.log",
    benchmark:
        "<logs>/{dataset}/generate_composites/{key}.tsv"
    conda:
        "../../envs/alba.yaml"
    threads: 8
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        verb="composites",
        dataset=paths.source_dataset,
        split=paths.source_split,
        videos=paths.source_videos,
        settings=paths.settings("composites"),
        revision=REVISIONS["composites"],
    shell:
        "alba {params.verb} --dataset {params.dataset:q} --split {params.split:q}"
        " --settings {params.settings:q} --output {output.pictures:q} --jobs {threads} 2>&1 | tee {log:q}"


use rule generate_composites as generate_mirrored with:
    output:
        pictures=directory("<cache>/{dataset}/mirrored-{key}"),
        ready="<cache>/{dataset}/mirrored-{key}.ready.json",
    log:
        "<logs>/{dataset}/generate_mirrored/{key}.log",
    benchmark:
        "<logs>/{dataset}/generate_mirrored/{key}.tsv"
    params:
        verb="mirrored",
        dataset=paths.source_dataset,
        split=paths.source_split,
        videos=paths.source_videos,
        settings=paths.settings("mirrored"),
        revision=REVISIONS["mirrored"],


rule all_data:
    input:
        paths.everywhere(paths.generated),
