"""A notebook, run headless by a real kernel: progress, tables and pictures show themselves."""

import pytest


def test_a_notebook_shows_progress_tables_and_pictures(service, pipeline):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    v4 = nbformat.v4
    book = v4.new_notebook(cells=[v4.new_code_cell(source) for source in (
        f"import sextant\nsx = sextant.connect({service.address!r})\nsx",
        f"with sx.job('notebook') as job:\n    run = job.profile({pipeline + ' --items 4'!r}, passes='host*3')\n"
        "    timeline = run.timeline()\njob",
        "timeline",
        "timeline.plot();",
        "run.report()",
        "%matplotlib inline",
        "class jit:\n    def __init__(self, function):\n        self.fn = function\n",
        "@sextant.kernel(device='cpu')\n@jit\ndef scale(x, by):\n    return OFFSET + x * by\n\nOFFSET = 3",
        "work = scale[8](2, by=1)\nprint(work.files['notebook.py'].decode())\nsx.close()",
    )])
    nbclient.NotebookClient(book, timeout=60, kernel_name="python3").execute()
    kinds = [[kind for output in cell.outputs for kind in output.get("data", {output.output_type: 0})]
             for cell in book.cells]
    assert "text/html" in kinds[0] and "text/html" in kinds[1] and "text/html" in kinds[2]
    assert "image/png" in kinds[3]
    assert "text/markdown" in kinds[4]
    packed = book.cells[-1].outputs[0]["text"].split()
    assert packed == "class jit: def __init__(self, function): self.fn = function @jit def scale(x, by): " \
        "return OFFSET + x * by OFFSET = 3".split()
    drawn = "".join(o.get("text", "") for o in book.cells[1].outputs) + str(book.cells[1].outputs)
    assert "passes" in drawn
