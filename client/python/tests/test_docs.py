"""The examples of docs/python.md, in order, as they are written."""

import pathlib
import re

import pytest

import sextant
from conftest import BUILD, RECORDINGS, ROOT
from examples import PAGE, examples


@pytest.fixture(scope="module")
def place(service, tmp_path_factory):
    """A folder that looks like the root of a clone that has been built."""
    folder = tmp_path_factory.mktemp("clone")
    folder.joinpath("tests").symlink_to(ROOT / "tests")
    program = folder / "build/examples/async_pipeline/async_pipeline"
    program.parent.mkdir(parents=True)
    installed = BUILD / "examples/async_pipeline"
    program.symlink_to(installed if installed.is_file() else installed / "async_pipeline")
    folder.joinpath("matmul.py").write_text("")
    return folder


NAMES: dict = {}  # shared by the page's examples


@pytest.mark.parametrize("needs, source", examples(), ids=lambda value: (value.strip().splitlines() or [""])[0][:50])
def test_an_example_runs_as_written(needs, source, place, service, monkeypatch, capsys):
    monkeypatch.chdir(place)
    if needs == "gpu" and not any(w.live and b.available and b.name == "proton" for w in service.describe().workers for b in w.info.backends):
        compile(source, str(PAGE), "exec")
        if "import triton" in source:
            pytest.skip("no GPU here; the example was compiled")
        # What an H200 recorded takes the place of the passes; all else is as written.
        recorded = f'passes=["replay:{RECORDINGS / "triton_matmul"}"]'
        source = re.sub(r"passes=\[[^]]*\]", recorded, source).replace("mm_", "matmul_")
        assert recorded in source
        source += "\n        shown = (tl.message.program, tl.to_pandas(), run.report().tldr)\n"
    exec(compile(source, str(PAGE), "exec"), NAMES)
    said = capsys.readouterr().out
    if 'save("pipeline.png")' in source:
        assert pathlib.Path("pipeline.png").stat().st_size > 20_000
        assert "producer" in said and "5 passes" in said
    if needs == "gpu":
        program, instances, tldr = NAMES["shown"]
        assert set(instances["region"]) >= {"load", "dot", "epilogue"} and "matmul_kernel" in tldr
        return
    if "replay:" in source:
        assert "matmul_kernel" in said
    if "sextant.compare" in source:
        assert said.startswith(("slower", "inconclusive"))
    if "make.sh" in source:
        assert said == "[b'built\\n', b'built\\n']\n"
    if "slowest" in source:
        assert NAMES["answer"].result() in said
    if "asyncio.run" in source:
        assert len(said.split(",")) == 2
    if "broken" in source:
        assert "PROGRAM_FAILED" in said and "so far so good" in said and said.startswith("passes | ")


def test_the_page_names_every_analysis():
    text = PAGE.read_text(encoding="utf-8")
    for name in dir(sextant.Run):
        if not name.startswith("_") and callable(vars(sextant.analyses.Analyses).get(name)):
            assert name in text, name
