"""Builds the package: the messages of the service are made from its .proto files.

What is made is independent of the versions of protobuf and grpcio it will run with: a descriptor set,
from which `sextant._descriptors` makes the message classes, and type stubs. Only the build needs protoc,
which grpcio-tools brings along."""

import pathlib
import re
import shutil

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent

MODULE = '''"""Messages of {proto}; their types stand in the .pyi beside this file."""

from sextant._descriptors import publish as _publish

_publish("{proto}", globals())
'''


def protos() -> pathlib.Path:
    """The folder of sextant/v1: in a source distribution beside this file, else at the tree's root."""
    for folder in (HERE / "proto", HERE.parent.parent / "proto"):
        if (folder / "sextant/v1/sextant.proto").is_file():
            return folder
    raise SystemExit(f"setup.py: proto/sextant/v1/*.proto is neither in {HERE} nor in {HERE.parent.parent}; "
                     "build from a clone of Sextant or from a source distribution")


def generate(package: pathlib.Path) -> None:
    """Writes messages.bin and v1/* into the folder of the package."""
    import grpc_tools  # of the build environment
    from grpc_tools import protoc

    source = protos()
    files = sorted(p.relative_to(source).as_posix() for p in (source / "sextant/v1").glob("*.proto"))
    stubs = package / "v1"
    stubs.mkdir(parents=True, exist_ok=True)
    known = pathlib.Path(grpc_tools.__file__).parent / "_proto"  # google/protobuf/*.proto
    code = protoc.main(["protoc", f"-I{source}", f"-I{known}", "--include_imports", f"--descriptor_set_out={package}/messages.bin",
                        f"--pyi_out={package.parent}", *files])
    if code != 0:
        raise SystemExit(f"setup.py: protoc ended with {code}")
    for name in files:
        stem = pathlib.PurePath(name).stem
        (stubs / f"{stem}_pb2.py").write_text(MODULE.format(proto=name), encoding="utf-8")
        stub = stubs / f"{stem}_pb2.pyi"
        # protoc writes what holds in classes alone about an extension of a file, too.
        types = re.sub(r"^(\w+_FIELD_NUMBER): _ClassVar\[int\]$", r"\1: int", stub.read_text(encoding="utf-8"), flags=re.MULTILINE)
        stub.write_text("# mypy: disable-error-code=\"type-arg,no-untyped-def\"\n" + types, encoding="utf-8")


class BuildPy(build_py):
    def run(self) -> None:
        super().run()
        generate(HERE / "src/sextant" if self.editable_mode else pathlib.Path(self.build_lib) / "sextant")


class Sdist(sdist):
    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        shutil.copytree(protos() / "sextant", pathlib.Path(base_dir) / "proto/sextant",
                        ignore=lambda _, names: [n for n in names if "." in n and not n.endswith(".proto")])


setup(cmdclass={"build_py": BuildPy, "sdist": Sdist})
