"""Every benchmark that needs no data of its own: ``python -m benchmarks`` (``make bench``)."""

import runpy
from pathlib import Path

for name in ("evaluation.py", "stores.py", "rollout.py"):
    runpy.run_path(str(Path(__file__).with_name(name)), run_name="__main__")
