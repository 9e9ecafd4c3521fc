# Training shows its progress bar on the terminal as well as in its log.
rule train_selection:
    input:
        pictures=ancient(paths.training_roots),
        proposals=ancient(paths.training_stores("proposals")),
        flow=ancient(paths.training_stores("flow")),
        labels=ancient(paths.training_stores("labels")),
        ready=paths.training_ready("proposals", "flow", "labels"),
    output:
        network=directory("<cache>/{dataset}/selection-{key}"),
        ready="<cache>/{dataset}/selection-{key}.ready.json",
    log:
        "<logs>/{dataset}/train_selection/{key}.log",
    benchmark:
        "<logs>/{dataset}/train_selection/{key}.tsv"
    conda:
        "../../envs/alba.yaml"
    threads: 8
    resources:
        gpu=paths.gpu("selection"),
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 720 * attempt,
    params:
        corpus=paths.corpus,
        settings=paths.settings("selection"),
        revision=REVISIONS["selection"],
    shell:
        "alba train-selection {params.corpus:q} --settings {params.settings:q}"
        " --output {output.network:q} 2>&1 | tee {log:q}"


rule train_assignment:
    input:
        pictures=ancient(paths.training_roots),
        proposals=ancient(paths.training_stores("proposals")),
        flow=ancient(paths.training_stores("flow")),
        labels=ancient(paths.training_stores("labels")),
        selection=ancient(paths.network("selection")),
        ready=paths.training_ready("proposals", "flow", "labels"),
        selection_ready=paths.network("selection", ".ready.json"),
    output:
        network=directory("<cache>/{dataset}/assignment-{key}"),
        ready="<cache>/{dataset}/assignment-{key}.ready.json",
    log:
        "<logs>/{dataset}/train_assignment/{key}.log",
    benchmark:
        "<logs>/{dataset}/train_assignment/{key}.tsv"
    conda:
        "../../envs/alba.yaml"
    threads: 8
    resources:
        gpu=paths.gpu("assignment"),
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 720 * attempt,
    params:
        corpus=paths.corpus,
        settings=paths.settings("assignment"),
        grouping=paths.settings("assignment", part="grouping"),
        revision=REVISIONS["assignment"],
    shell:
        "alba train-assignment {params.corpus:q}"
        " --settings {params.settings:q} --grouping {params.grouping:q}"
        " --selection {input.selection:q} --output {output.network:q} 2>&1 | tee {log:q}"


use rule train_assignment as train_pairwise with:
    output:
        network=directory("<cache>/{dataset}/pairwise-{key}"),
        ready="<cache>/{dataset}/pairwise-{key}.ready.json",
    log:
        "<logs>/{dataset}/train_pairwise/{key}.log",
    benchmark:
        "<logs>/{dataset}/train_pairwise/{key}.tsv"
    params:
        corpus=paths.corpus,
        settings=paths.settings("pairwise"),
        grouping=paths.settings("pairwise", part="grouping"),
        revision=REVISIONS["pairwise"],


rule reinforce_assignment:
    input:
        pictures=ancient(paths.training_roots),
        proposals=ancient(paths.training_stores("proposals")),
        flow=ancient(paths.training_stores("flow")),
        labels=ancient(paths.training_stores("labels")),
        selection=ancient(paths.network("selection")),
        assignment=ancient(paths.network("assignment")),
        ready=paths.training_ready("proposals", "flow", "labels"),
        selection_ready=paths.network("selection", ".ready.json"),
        assignment_ready=paths.network("assignment", ".ready.json"),
    output:
        network=directory("<cache>/{dataset}/reinforce-{key}"),
        ready="<cache>/{dataset}/reinforce-{key}.ready.json",
    log:
        "<logs>/{dataset}/reinforce_assignment/{key}.log",
    benchmark:
        "<logs>/{dataset}/reinforce_assignment/{key}.tsv"
    conda:
        "../../envs/alba.yaml"
    threads: 8
    resources:
        gpu=paths.gpu("reinforce"),
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 1440 * attempt,
    params:
        corpus=paths.corpus,
        settings=paths.settings("reinforce"),
        grouping=paths.settings("reinforce", part="grouping"),
        revision=REVISIONS["reinforce"],
    shell:
        "alba reinforce {params.corpus:q} --settings {params.settings:q} --grouping {params.grouping:q}"
        " --selection {input.selection:q}"
        " --assignment {input.assignment:q} --output {output.network:q} 2>&1 | tee {log:q}"


rule train_refinement:
    input:
        pictures=ancient(paths.training_roots),
        proposals=ancient(paths.training_stores("proposals")),
        flow=ancient(paths.training_stores("flow")),
        labels=ancient(paths.training_stores("labels")),
        selection=ancient(paths.network("selection")),
        assignment=ancient(paths.network("reinforce")),
        ready=paths.training_ready("proposals", "flow", "labels"),
        selection_ready=paths.network("selection", ".ready.json"),
        assignment_ready=paths.network("reinforce", ".ready.json"),
    output:
        network=directory("<cache>/{dataset}/refinement-{key}"),
        ready="<cache>/{dataset}/refinement-{key}.ready.json",
    log:
        "<logs>/{dataset}/train_refinement/{key}.log",
    benchmark:
        "<logs>/{dataset}/train_refinement/{key}.tsv"
    conda:
        "../../envs/alba.yaml"
    threads: 8
    resources:
        gpu=paths.gpu("refinement"),
        mem_mb=lambda wildcards, attempt: 12000 * attempt,
        runtime=lambda wildcards, attempt: 720 * attempt,
    params:
        corpus=paths.corpus,
        settings=paths.settings("refinement"),
        tracks=paths.tracks("refinement"),
        revision=REVISIONS["refinement"],
    shell:
        "alba train-refinement {params.corpus:q} --settings {params.settings:q}"
        " --tracks {params.tracks} --jobs {threads} --selection {input.selection:q} --assignment {input.assignment:q}"
        " --output {output.network:q} 2>&1 | tee {log:q}"


rule all_networks:
    input:
        paths.everywhere(paths.networks),
