"""Every benchmark that needs no data of its own: ``python -m benchmarks`` (``make bench``)."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).with_name("evaluation.py")), run_name="__main__")
