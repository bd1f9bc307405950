"""The API for asyncio."""

import asyncio

import pytest

import sextant
from test_jobs import waits_unless_recorded


def test_the_example_of_the_module(service, pipeline):
    async def main():
        async with sextant.aio.connect(service.address, progress=False) as sx:
            async with sx.job("async") as job:
                run = await job.profile(f"{pipeline} --items 4", passes=["host*2"])
                timeline, report = await asyncio.gather(run.timeline(), run.report())
                async with job.job("inner") as inner:
                    await inner.verify("true")
            assert (await job.info()).state == 4
            assert (await sx.query("SELECT 1::int8 AS one"))["one"].tolist() == [1]
            return timeline, report

    timeline, report = asyncio.run(main())
    assert "producer" in timeline.roles
    assert report.markdown


def test_tasks_are_awaited_and_fail(service):
    async def main():
        async with sextant.aio.connect(service.address, progress=False) as sx:
            job = await sx.job("fails")
            good = await job.profile("true", passes="run")
            bad = await job.profile("false", passes="run")
            assert (await good) is good and good.done()
            with pytest.raises(sextant.TaskFailed):
                await bad
            await job.seal()
            with pytest.raises(sextant.TaskFailed):
                await job

    asyncio.run(main())


def test_events_are_streamed(service):
    async def main():
        async with sextant.aio.connect(service.address, progress=False) as sx:
            run = await sx.profile("true", passes="run*2", fresh=True)
            return [event.what async for event in (await sx.get_job(run.sync.job_id)).events()]

    what = asyncio.run(main())
    assert what[0] == "accepted" and what[-1] == "finished" and what.count("started") == 2


def test_cancelling_a_wait_leaves_the_job_alone(service):
    async def main():
        async with sextant.aio.connect(service.address, progress=False) as sx:
            job = await sx.job("waits")
            run = await job.profile("sleep 1000", passes="run")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(run.timeline(), 0.2)
            assert (await run.info()).state in (1, 2, 3)
            await run.cancel()
            with pytest.raises(sextant.TaskFailed):
                await run
            await job.seal()

    asyncio.run(main())


def test_synchronous_handles_can_be_awaited(sx):
    async def main():
        with sx.job("mixed") as job:
            return await job.profile("true", passes="run")

    assert asyncio.run(main()).state == "done"


def test_an_exception_cancels_the_job(service):
    async def main():
        async with sextant.aio.connect(service.address, progress=False) as sx:
            with pytest.raises(KeyError):
                async with sx.job("left") as job:
                    await job.profile("sleep 1000", passes="run")
                    raise KeyError("mine")
            return (await sx.get_job(job.job_id)).sync.watch.job().result(60).state

    assert asyncio.run(main()) == 6


def test_a_timeline_takes_no_thread_for_its_wait_and_waits_for_its_passes_alone(service, pipeline):
    async def main():
        async with sextant.aio.connect(service.address, progress=False) as sx:
            job = await sx.job("partly")
            run = await job.profile(waits_unless_recorded(pipeline), passes=["host*2", "run"])
            timeline = await run.timeline()
            assert not run.done()
            await job.cancel()
            return timeline

    assert "producer" in asyncio.run(main()).roles
