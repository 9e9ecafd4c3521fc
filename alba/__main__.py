"""``python -m alba``, as ``torchrun -m alba`` calls it."""

from alba.cli import main

main()
