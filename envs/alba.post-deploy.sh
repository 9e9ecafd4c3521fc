# Run once by Snakemake, inside the new environment and in the working directory: the root of a clone.
set -eu
python -m pip install --constraint envs/constraints.txt .
