"""The example of docs/python.md as it stands there, in a directory with matmul.py, and what it gave."""

import sys

import matplotlib

matplotlib.use("Agg")

import sextant
with sextant.connect() as sx:                       # or sextant.local(): starts the embedded default
    with sx.job("matmul") as job:
        run = job.profile("python matmul.py", passes=["proton*20", "counters:ipc,stalls"], kernels="mm_.*")
        tl = run.timeline(kernel="mm_kernel")       # waits for what it needs, shows a progress bar
        tl.plot(); tl.to_pandas(); run.report().tldr

    print(tl.to_pandas().head(4).to_string())
    print(run.report().tldr)
    tl.save(sys.argv[1] if len(sys.argv) > 1 else "timeline.png")
