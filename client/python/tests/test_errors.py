"""Errors carry the field and the remedy."""

import grpc
import pytest

import sextant
from sextant.errors import from_status
from sextant.v1.types_pb2 import JobGraph, TaskSpec


@pytest.mark.parametrize("message, field, remedy", [
    ("graph.tasks[3].name: must not be empty", "graph.tasks[3].name", ""),
    ('graph.tasks[0].profile.passes[1].options["device"]: "x", must be "gpu" or "host"',
     'graph.tasks[0].profile.passes[1].options["device"]', ""),
    ("job_id: there is no job 9; `sextant jobs` lists those there are", "job_id", "`sextant jobs` lists those there are"),
    ("tasks[0].after and inputs: 70, at most max_edges_per_task = 64", "tasks[0].after", ""),
    ("the job is sealed; submit another", "", "submit another"),
])
def test_messages_of_the_service_are_taken_apart(message, field, remedy):
    error = from_status(grpc.StatusCode.INVALID_ARGUMENT, message, method="SubmitJob", address="x")
    assert (error.field, error.remedy, error.method) == (field, remedy, "SubmitJob")
    assert isinstance(error, (sextant.InvalidArgument, ValueError))


def test_a_wrong_field_is_named(sx):
    with pytest.raises(sextant.InvalidArgument) as error:
        sx.submit(JobGraph(name="x", tasks=[TaskSpec(name="bad name")]))
    assert error.value.field == "graph.tasks[0].name"
    assert error.value.code == grpc.StatusCode.INVALID_ARGUMENT


def test_a_limit_is_named(sx):
    with pytest.raises(sextant.ServiceError) as error:
        sx.profile("true", passes="run*4000000000")
    assert error.value.limit == "max_passes_per_task"


def test_states_and_missing_things_have_classes(sx):
    with pytest.raises(sextant.NotFound) as missing:
        sx.get_job(10**9)
    assert missing.value.field == "job_id"
    job = sx.job("sealed")
    job.seal()
    with pytest.raises(sextant.WrongState):
        job.profile("true", passes="run")
    sx.job("first", request_id="python-twice")
    with pytest.raises(sextant.AlreadyExists):
        sx.job("second", request_id="python-twice")


def test_nobody_at_the_address(tmp_path):
    with pytest.raises(sextant.Unreachable) as error:
        sextant.connect(f"unix://{tmp_path}/none.sock", wait_s=0)
    assert "sextant up" in error.value.remedy and str(tmp_path) in error.value.message
    assert isinstance(error.value, ConnectionError)


def test_wrong_arguments_are_refused_here(sx, tmp_path):
    for call, field in ((lambda: sx.profile("./none", passes="run"), "command"),
                        (lambda: sx.profile("true", passes="run", files=[tmp_path / "none"]), "files"),
                        (lambda: sx.profile("true", passes=[]), "passes"),
                        (lambda: sx.profile("", passes="run"), "command"),
                        (lambda: sx.profile("'open", passes="run"), "command"),
                        (lambda: sx.profile("", passes=f"replay:{tmp_path}"), "passes"),
                        (lambda: sx.profile("true", passes="run", env={"SURELY_NOT_SET": None}), "env"),
                        (lambda: sx.jobs(states=["dead"]), "states"),
                        (lambda: sx.profile("true", passes="run").report(format="pdf"), "format")):
        with pytest.raises(sextant.UsageError) as error:
            call()
        assert error.value.field == field, error.value


def test_a_token_does_not_travel_in_the_clear():
    with pytest.raises(sextant.UsageError) as error:
        sextant.connect("192.0.2.1:7650", token="secret", wait_s=0)
    assert error.value.field == "token" and "secret" not in str(error.value)
    with pytest.raises(sextant.UsageError) as error:
        sextant.connect("192.0.2.1:7650", cert="/nonexistent/a.pem", key="/nonexistent/b.pem", wait_s=0)
    assert error.value.field in ("cert", "key")
