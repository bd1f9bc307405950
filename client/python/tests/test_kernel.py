"""Kernels as workloads. Triton is not needed: what is packed is Python, and what is launched is anything that
`kernel[grid](…)` launches."""

import importlib.util
import json
import sys

import pytest

import sextant
from sextant.kernel_source import kernel_source

TOY = '''import sextant as sx
from sextant import kernel
import json
from toys.scaling import FACTOR

raise_on_import = json.loads("1")


def jit(function):
    """Stands where triton.jit does: holds the function as .fn, and launches by [grid](…)."""
    class Launcher:
        def __init__(self):
            self.fn = function

        def __getitem__(self, grid):
            return lambda *args, **kwargs: [function(i, *args, **kwargs) for i in range(grid[0])]
    return Launcher()


def unused():
    return sx.connect("nowhere")


def scaled(n):
    return FACTOR * n


@kernel(python="/usr/bin/python3", device="cpu", launches=2)
@jit
def toy(program, n, pair, NAME="x"):
    print(json.dumps([program, scaled(n), pair, NAME]))


work = toy[(2,)](5, (1, 2.5), NAME="y") if __name__ == "__main__" else sx
'''


@pytest.fixture
def toy(tmp_path, monkeypatch):
    (tmp_path / "toys").mkdir()
    (tmp_path / "toys/scaling.py").write_text("FACTOR = 10\n")
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = importlib.util.spec_from_file_location("toy", tmp_path / "toy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for name in [n for n in sys.modules if n.split(".")[0] == "toys"]:
        del sys.modules[name]


def test_a_kernel_runs_on_a_worker_with_its_arguments(sx, toy):
    run = sx.profile(toy.toy[(2,)](5, (1, 2.5), NAME="y"), passes="run")
    run.result(60)
    lines = run.read("stdout").decode().splitlines()
    assert [json.loads(line) for line in lines] == 2 * [[0, 50, [1, 2.5], "y"], [1, 50, [1, 2.5], "y"]]
    assert run.path == "toy"


def test_what_the_kernel_needs_travels_on_its_lines(toy):
    source = kernel_source(toy.toy.function)
    assert source.module == "toy"
    ours, written = source.text.splitlines(), TOY.splitlines()
    kept = {i for i, line in enumerate(ours) if line}
    assert all(ours[i] == written[i] for i in kept)
    for needed in ("import json", "from toys.scaling import FACTOR", "def scaled(n):", "@jit", "class Launcher:"):
        assert needed in source.text
    for left in ("sextant", "unused", "raise_on_import", "@kernel", "work ="):
        assert left not in source.text
    assert set(toy.toy[(1,)](1, 2).files) == {"toy.py", "toys/scaling.py", "launch.py", "launch.json"}


def test_top_level_calls_that_prepare_triton_stay(tmp_path, monkeypatch):
    (tmp_path / "prepared.py").write_text(
        "import triton.profiler.language as pl\nimport os\npl.enable_semantic('triton')\nos.getcwd()\n"
        "def body(x):\n    return pl.scope(x)\n")
    source = (tmp_path / "prepared.py").read_text()
    namespace: dict = {"pl": None}
    exec(compile(source.split("def body")[1].join(["\n\n\n\ndef body", ""]), str(tmp_path / "prepared.py"), "exec"), namespace)
    text = kernel_source(namespace["body"]).text
    assert "enable_semantic" in text and "getcwd" not in text


def test_grids_may_depend_on_arguments(toy):
    plan = json.loads(toy.toy[lambda meta: (meta["program"] // 2, 1)](6, 0).files["launch.json"])
    assert plan["grid"] == [3, 1] and plan["torch"] is False
    with pytest.raises(sextant.UsageError, match="'BLOCK'"):
        toy.toy[lambda meta: (meta["BLOCK"],)](6, 0)
    with pytest.raises(sextant.UsageError, match="at least 1"):
        toy.toy[(0,)](6, 0)


def test_arguments_travel_as_descriptions_or_contents(toy):
    numpy = pytest.importorskip("numpy")
    work = toy.toy[1](sextant.Tensor((4, 2), "float16", fill="randn"), numpy.arange(6, dtype="int32").reshape(2, 3))
    plan = json.loads(work.files["launch.json"])
    made, given = plan["args"]
    assert plan["torch"] and made == {"kind": "tensor", "shape": [4, 2], "dtype": "float16", "fill": "randn"}
    assert (given["shape"], given["dtype"], given["bytes"]) == ([2, 3], "int32", 24)
    assert numpy.frombuffer(work.files[given["file"]], "int32").tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(sextant.UsageError) as error:
        toy.toy[1](object(), 0)
    assert error.value.field == "argument 0"
    with pytest.raises(sextant.UsageError, match="no 'random'"):
        sextant.Tensor((1,), fill="random")


def test_kernels_that_cannot_travel_say_why(toy):
    def inner(x):
        pass

    with pytest.raises(sextant.UsageError, match="inside a function"):
        kernel_source(inner)
    with pytest.raises(sextant.UsageError, match="of this package"):
        kernel_source(toy.unused)
    with pytest.raises(sextant.UsageError, match="holds no function"):
        sextant.kernel(3)
