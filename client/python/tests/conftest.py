"""One real service for all tests: sextantd with its private PostgreSQL, and one worker, from the build tree."""

import os
import pathlib
import shutil
import tempfile

import matplotlib
import pytest

import sextant

matplotlib.use("Agg")

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("SEXTANT_BUILD", ROOT / "build")).resolve()
RECORDINGS = ROOT / "tests/recordings/h200"


def command() -> pathlib.Path:
    """`sextant` of the build tree, or of an installation."""
    installed = BUILD / "bin/sextant"
    return installed if installed.exists() else BUILD / "client/cli/sextant"


@pytest.fixture(scope="session")
def pipeline() -> str:
    installed = BUILD / "examples/async_pipeline"
    return str(installed if installed.is_file() else installed / "async_pipeline")


@pytest.fixture(scope="session")
def home():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sextant-py-"))
    folder.chmod(0o755)
    saved = dict(os.environ)
    os.environ.update(SEXTANT_HOME=str(folder / "home"), SEXTANT_PROGRAM=str(command()))
    for name in ("SEXTANT_SERVER", "SEXTANT_TOKEN"):
        os.environ.pop(name, None)
    yield folder / "home"
    os.environ.clear()
    os.environ.update(saved)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def service(home):
    """The embedded default, as sextant.local() starts it; stopped at the end."""
    with sextant.local(stop=True, progress=False) as sx:
        yield sx


@pytest.fixture
def sx(service):
    with sextant.connect(service.address, progress=False) as client:
        yield client


@pytest.fixture(scope="session")
def matmul(service):
    """A Triton matmul that was recorded on an H200, played again."""
    return service.profile("", f"replay:{RECORDINGS / 'triton_matmul'}")
