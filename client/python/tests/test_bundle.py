"""What travels with a command."""

import os
import subprocess
import sys

import pytest

import sextant
from conftest import command
from sextant.bundle import Bundle
from sextant.v1.types_pb2 import Workload as Message


def collected(directory, *argv):
    bundle, message = Bundle(directory), Message()
    bundle.collect(argv, message)
    return bundle, message


@pytest.fixture
def place(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/in.txt").write_text("in")
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "tool").chmod(0o750)
    return tmp_path


def test_what_a_command_names_travels_under_its_name(place):
    bundle, message = collected(place, "./tool", "data", "--in=data/in.txt", "--out=none.txt", "-")
    assert sorted(bundle.files) == ["data/in.txt", "tool"]
    assert bundle.files["tool"].mode == 0o750
    assert list(message.argv) == ["./tool", "data", "--in=data/in.txt", "--out=none.txt", "-"]


def test_system_programs_stay_and_files_outside_are_noted(place, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "out.txt"
    other.write_text("x")
    bundle, message = collected(place, "cat", str(other), "/etc/passwd")
    assert not bundle.files and message.argv[0] == "cat"
    assert len(bundle.notes) == 1 and str(other) in bundle.notes[0]


def test_an_environment_of_python_does_not_travel(place):
    (place / "main.py").write_text("import os, data.part, json\n")
    (place / "data/part.py").write_text("from . import other\nimport missing\n")
    (place / "data/other.py").write_text("")
    bundle, message = collected(place, sys.executable, "-u", "main.py", "data/in.txt")
    assert sorted(bundle.files) == ["data/in.txt", "data/other.py", "data/part.py", "main.py"]
    assert message.argv[0] == sys.executable
    bundle, _ = collected(place, "python3", "-m", "data.part")
    assert sorted(bundle.files) == ["data/other.py", "data/part.py"]


def test_libraries_beside_a_program_travel(place, pipeline):
    bundle, message = collected(place, pipeline)
    libraries = [f for f in bundle.files if f.startswith("lib/")]
    assert ("LD_LIBRARY_PATH" in message.env) == bool(libraries)


def test_files_are_digested_as_they_are(place):
    packed = sextant.Workload("cat a b", files={"a": b"alpha", "b": place / "data/in.txt"}, memory="1G").pack()
    assert [(f.path, f.size_bytes) for f in packed.message.files] == [("a", 5), ("b", 2)]
    assert packed.message.limits.memory_bytes == 1 << 30
    with pytest.raises(sextant.UsageError, match="inside the working directory"):
        sextant.Workload("true", files={"../a": b""}).pack()
    with pytest.raises(sextant.UsageError, match="no size"):
        sextant.Workload("true", memory="much").pack()


def test_the_command_line_packs_the_same(place, pipeline, service):
    """`sextant run --graph` prints what it would submit."""
    (place / "prog").symlink_to(pipeline)
    said = subprocess.run([str(command()), "run", "--graph", "--pass", "host*2", "--kernels", "k.*", "--", "./prog", "data"],
                          cwd=place, capture_output=True, text=True, check=True,
                          env=dict(os.environ, SEXTANT_SERVER=service.address)).stdout
    from google.protobuf import json_format

    from sextant.v1.types_pb2 import JobGraph, ProfileTask
    from sextant.workload import pack_profile

    graph = json_format.Parse(said, JobGraph())
    ours, *_ = pack_profile(sextant.Workload("./prog data", kernels="k.*", directory=place), "host*2")
    theirs: ProfileTask = graph.tasks[0].profile
    assert sorted(f.path for f in ours.workload.files) == sorted(f.path for f in theirs.workload.files)
    assert {f.path: f.digest for f in ours.workload.files} == {f.path: f.digest for f in theirs.workload.files}
    assert list(ours.workload.argv) == list(theirs.workload.argv)
    assert dict(ours.workload.env) == dict(theirs.workload.env)
    assert ours.workload.kernels == theirs.workload.kernels
    assert [p.SerializeToString(deterministic=True) for p in ours.passes] == \
        [p.SerializeToString(deterministic=True) for p in theirs.passes]
