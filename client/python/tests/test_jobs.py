"""Jobs, tasks and their futures, against a real service."""

import json
import pathlib
import threading

import pytest

import sextant


def test_tasks_start_while_the_block_is_open(sx):
    with sx.job("eager") as job:
        first = job.profile("echo hello", passes="run")
        assert first.result(60) is first
        assert first.state == "done" and first.done()
        assert job.state in ("waiting", "ready", "running") and job.info().open
        assert first.read("stdout") == b"hello\n"
    assert job.state == "done"


def test_names_of_equal_tasks_differ(sx):
    with sx.job("names") as job:
        paths = [job.profile("true", passes="run").path for _ in range(3)]
    assert paths == ["true", "true-2", "true-3"]


def test_a_failure_that_nobody_has_seen_is_raised_by_the_block(sx):
    with pytest.raises(sextant.TaskFailed) as error:
        with sx.job("fails") as job:
            job.profile("sh -c 'exit 3'", passes="run")
    assert error.value.cause == "PROGRAM_FAILED"
    assert error.value.task == "sh" and error.value.job_id == job.id
    assert "3" in error.value.message


def test_a_failure_that_was_seen_is_not_raised_again(sx):
    with sx.job("seen") as job:
        run = job.profile("sh -c 'echo on stderr >&2; exit 4'", passes="run")
        assert isinstance(run.exception(), sextant.TaskFailed)
        assert "on stderr" in run.logs()
    assert job.state == "failed"


def test_leaving_by_an_exception_cancels_what_is_not_done(sx):
    with pytest.raises(KeyError):
        with sx.job("left") as job:
            run = job.profile("sleep 1000", passes="run")
            raise KeyError("mine")
    assert run.exception(60).state == "cancelled"
    assert job.state == "cancelled"


def test_waiting_can_end_before_the_task_does(sx):
    with sx.job("slow") as job:
        run = job.profile("sleep 1000", passes="run")
        with pytest.raises(sextant.TookTooLong):
            run.result(timeout=0.2)
        run.cancel("enough")
        assert run.exception(60).state == "cancelled"


def test_callbacks_come_when_the_task_has_ended(sx):
    ended = threading.Event()
    with sx.job("callback") as job:
        job.profile("true", passes="run").add_done_callback(lambda task: ended.set() if task.state == "done" else None)
    assert ended.wait(60)


def test_artifacts_travel_between_tasks_and_nested_jobs(sx, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "numbers.txt").write_text("3\n1\n2\n")
    with sx.job("nested") as job:
        sort = job.build(sextant.Workload("sh -c 'sort numbers.txt > sorted.txt'", files=["numbers.txt"]),
                         outputs=["sorted.txt"])
        with job.job("inner") as inner:
            show = inner.profile("cat sorted.txt", passes="run", inputs=[(sort, "sorted.txt")])
            with inner.job("deeper") as deeper:
                deeper.verify("true", after=[show])
        assert inner.result(60) is inner
    assert show.read("stdout") == b"1\n2\n3\n"
    assert sorted(t.path for t in job.tasks()) == ["build-sh", "inner", "inner/cat", "inner/deeper", "inner/deeper/verify-true"]
    assert sort.read("sorted.txt") == b"1\n2\n3\n"


def test_an_external_task_is_completed_from_here(sx):
    with sx.job("external") as job:
        asked = job.external("say a word", name="word")
        show = job.profile("cat word.txt", passes="run", inputs=[(asked, "word.txt")])
        assert not asked.done()
        asked.complete({"word.txt": "sextant"})
    assert show.read("stdout") == b"sextant"


def test_a_job_is_found_again(sx):
    run = sx.profile("echo again", passes="run*2", name="found", labels={"suite": "python"})
    run.result(60)
    with sextant.connect(sx.address, progress=False) as other:
        job = other.get_job(run.job_id)
        again = job.run()
        assert again.path == run.path
        assert job.wait(60) is job
        assert len(again.passes()) == 2 and len(job.passes()) == 2
        assert list(again.passes().to_pandas()["state"]) == ["done", "done"]
        assert again.passes()[0].read("stdout") == b"again\n"
        mine = other.jobs(labels={"suite": "python"})
        assert list(mine["name"]) == ["found"]
        assert other.jobs(1, states=["done"]).shape[0] == 1
        assert job.to_pandas()["path"].tolist() == [run.path]
        assert job.explain().tasks[0].task == run.path


def test_events_come_in_order_until_the_job_ends(sx):
    run = sx.profile("true", passes="run*2")
    job = sx.get_job(run.job_id)
    seen = list(job.events())
    assert [e.seq for e in seen] == sorted(e.seq for e in seen)
    assert seen[0].what == "accepted" and seen[-1].what == "finished" and not seen[-1].task
    assert [e.seq for e in job.events(after_seq=seen[-2].seq)] == [seen[-1].seq]


def test_a_request_id_is_one_job(sx):
    first = sx.job("once", request_id="python-once")
    again = sx.job("once", request_id="python-once")
    assert first.id == again.id and again.existing and not first.existing


def test_closing_the_client_seals_what_it_opened(service):
    with sextant.connect(service.address, progress=False) as client:
        job = client.job("abandoned")
        job.profile("true", passes="run")
    assert service.get_job(job.id).wait(60).state == "done"


def test_what_was_recorded_of_a_failed_run_can_be_read(sx):
    run = sx.profile("sh -c 'exit 1'", passes="run")
    assert run.exception(60) is not None
    assert run.report(wait=False).markdown
    with pytest.raises(sextant.TaskFailed):
        run.report()


def test_a_plan_names_passes_and_costs(sx, pipeline):
    plan = sx.plan(pipeline, ["host*3", "run"])
    assert plan.to_pandas()["spec_backend"].tolist() == ["host", "run"]


def test_queries_are_typed_tables(sx):
    table = sx.query("SELECT 1::int8 AS one, 2.5::float8 AS half, 'x' AS word, NULL AS nothing")
    assert table["one"].tolist() == [1] and table["half"].tolist() == [2.5] and table["word"].tolist() == ["x"]
    assert table.isna()["nothing"].tolist() == [True]


def test_a_python_program_brings_its_modules(sx, tmp_path):
    (tmp_path / "main.py").write_text("import helper\nprint(helper.word())\n")
    (tmp_path / "helper.py").write_text("from parts import deep\nword = lambda: deep.WORD\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/__init__.py").write_text("")
    (tmp_path / "parts/deep.py").write_text("WORD = 'packed'\n")
    run = sx.profile("/usr/bin/python3 main.py", passes="run", directory=tmp_path)
    assert run.read("stdout") == b"packed\n" if run.result(60) else False


def test_any_rpc_can_be_called_by_name(sx):
    run = sx.profile("true", passes="run")
    assert run.ask("GetReport").job_id == run.job_id
    assert json.dumps(sx.call("DescribeService").version)
    with pytest.raises(sextant.UsageError, match="GetRoofline"):
        sx.call("GetRooflines")


def test_handles_show_themselves(sx):
    run = sx.profile("true", passes="run", name="<b>bold</b>")
    run.result(60)
    job = sx.get_job(run.job_id)
    assert "&lt;b&gt;bold" in job._repr_html_() and "<b>bold</b>" not in job._repr_html_().replace("<b>job", "")
    assert "done" in run._repr_html_() and "done" in repr(run)
    assert "version" in sx._repr_html_()


#: Records where it is recorded, and never ends where it is only run.
def waits_unless_recorded(pipeline: str) -> sextant.Workload:
    return sextant.Workload(["sh", "-c", "test -n \"$SEXTANT_RESULTS\" || exec sleep 1000; exec ./async_pipeline --items 4"],
                            files={"async_pipeline": pathlib.Path(pipeline)})


def test_a_timeline_waits_for_the_passes_it_reads_alone(sx, pipeline):
    with pytest.raises(KeyboardInterrupt):  # what else the job waits for never comes: it is left
        with sx.job("partly") as job:
            run = job.profile(waits_unless_recorded(pipeline), passes=["host*2", "run"])
            timeline = run.timeline()
            assert timeline.message.passes == 2 and "producer" in timeline.roles
            assert not run.done()
            with pytest.raises(sextant.TookTooLong):
                run.result(timeout=0.2)
            raise KeyboardInterrupt


def test_a_timeline_of_a_program_that_fails_raises(sx):
    run = sx.profile("false", passes=["host*2", "run"])
    with pytest.raises(sextant.TaskFailed):
        run.timeline()
