"""Graphs made of decorated functions."""

import json
import threading

import pytest

import sextant


@sextant.task
def double(n):
    """Twice as much."""
    return 2 * n


@sextant.task(name="sum")
def total(numbers):
    return sum(numbers)


def test_calls_wait_for_calls(sx):
    with sx.job("calls") as job:
        result = total([double(1), double(double(2)), 3])
        assert result.result(60) == 13
    infos = {t.path: t for t in job.tasks()}
    assert set(infos) == {"double", "double-2", "double-3", "sum"}
    assert all(t.kind == "external" for t in infos.values())
    assert json.loads(result.read("result.json")) == 13
    assert result.exception() is None


def test_a_function_gets_runs_as_they_are_and_workers_get_its_result(sx, pipeline):
    @sextant.task
    def regions(run):
        return sorted(run.timeline().regions()["region"])

    with sx.job("mixed") as job:
        run = job.profile(f"{pipeline} --items 4", passes="host*2")
        names = regions(run)
        seen = job.profile("cat result.json", passes="run", inputs=[(names, "result.json")])
    assert "load" in names.result()
    assert json.loads(seen.read("stdout")) == names.result()


def test_what_a_function_raises_is_raised_by_its_call(sx):
    added = threading.Event()

    @sextant.task
    def broken():
        added.wait(60)
        raise ZeroDivisionError("of mine")

    with pytest.raises(ZeroDivisionError, match="of mine"):
        with sx.job("broken") as job:
            after = double(broken())
            added.set()
    assert job.state == "failed"
    failure = after.exception(60)
    assert isinstance(failure, sextant.TaskFailed) and failure.cause == "INPUT_FAILED"
    assert "ZeroDivisionError: of mine" in job.task_info("broken").failure.message


def test_what_would_wait_for_a_failed_call_raises_its_error(sx):
    @sextant.task
    def broken():
        raise ZeroDivisionError("of mine")

    with sx.job("broken") as job:
        call = broken()
        assert isinstance(call.exception(60), ZeroDivisionError)
        with pytest.raises(ZeroDivisionError, match="of mine"):
            double(call)
    assert [t.path for t in job.tasks()] == ["broken"]


def test_what_json_cannot_hold_is_kept_as_text(sx):
    @sextant.task
    def odd():
        return {1, 2}

    with sx.job("odd"):
        call = odd()
    assert call.result() == {1, 2}
    assert call.read("result.txt") == b"{1, 2}"


def test_functions_add_tasks_themselves(sx):
    @sextant.task
    def search(limit):
        n = 1
        while n < limit:
            n = double(n).result()
        return n

    with sx.job("dynamic") as job:
        assert search(5).result(60) == 8
    assert len(job.tasks()) == 4


def test_outside_a_job_the_plain_function_is_there(service):
    with pytest.raises(sextant.UsageError, match="no job is open"):
        double(2)
    assert double.function(2) == 4


def test_tasks_of_another_job_are_refused(sx):
    with sx.job("one"):
        call = double(1)
    with sx.job("other"):
        with pytest.raises(sextant.UsageError, match="not of job"):
            double(call)
