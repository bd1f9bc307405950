"""An agent's whole loop through the official Python SDK: submit, wait, diagnose, take the next pass, compare.

  python agent.py legacy|auto|2026-07-28 URL|- [COMMAND ARGUMENT…]   ("-": over stdio)
Prints one line of JSON: what was seen, for the test to judge."""

import asyncio
import json
import os
import sys

from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters


async def main():
    mode, url, *command = sys.argv[1:]
    server = url
    if url == "-":
        server = StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ))
    async with Client(server, mode=mode) as client:
        longest = {}

        async def call(name, arguments):
            result = await client.call_tool(name, arguments)
            text = next(c.text for c in result.content if c.type == "text")
            longest[name] = max(longest.get(name, ""), text, key=len)
            return {"failed": bool(result.is_error), "answer": result.structured_content,
                    "text": json.loads(text),
                    "content": [c.model_dump(mode="json", by_alias=True, exclude_none=True)
                                for c in result.content]}

        seen = {}
        seen["tools"] = [t.model_dump(mode="json", by_alias=True, exclude_none=True)
                         for t in (await client.list_tools()).tools]
        seen["resources"] = [str(r.uri) for r in (await client.list_resources()).resources]
        for name in ("guide", "schema"):
            seen[name] = (await client.read_resource(f"sextant://{name}")).contents[0].text
        seen["service"] = await call("describe_service", {})
        with open(os.environ["MCP_PROGRAM"], encoding="utf-8") as file:
            program = json.load(file)  # arguments of submit_job

        async def finish(arguments):
            submitted = await call("submit_job", arguments)
            while True:
                job = await call("get_job", {"job_id": submitted["answer"]["job_id"], "wait_s": 20})
                if job["answer"]["state"] in ("done", "failed", "cancelled"):
                    return job["answer"]

        async def run(**extra):
            return await finish({**program, **extra})

        salt = f"py-{mode}-{'stdio' if url == '-' else 'http'}-{os.getpid()}"
        seen["first"] = await run(request_id=f"{salt}-a", fresh=True)
        job = seen["first"]["job_id"]
        seen["again"] = await call("submit_job", {**program, "request_id": f"{salt}-a", "fresh": True})
        seen["second"] = await run(request_id=f"{salt}-b", fresh=True)
        seen["events"] = await call("get_job", {"job_id": job, "after": ""})
        seen["later"] = await call("get_job", {"job_id": job, "wait_s": 0,
                                               "after": seen["events"]["answer"]["cursor"]})
        seen["diagnosis"] = await call("explain_bottleneck", {"job_id": job})
        seen["next"] = await call("next_pass", {"job_id": job})
        seen["plan"] = await call("submit_job", {**{k: v for k, v in program.items() if k != "passes"},
                                                 "preset": "quick", "plan_only": True})
        seen["timeline"] = await call("region_timeline", {"job_id": job})
        seen["compared"] = await call("compare_jobs", {"job_a": job, "job_b": seen["second"]["job_id"]})
        seen["rows"] = await call("query", {"sql": f"SELECT state FROM jobs WHERE job_id = {job}"})
        seen["artifact"] = await call("get_artifact", {"job_id": job, "name": "stdout"})
        # The same with what an H200 left: passes that the diagnosis asks for are added, and the jobs compared.
        with open(os.environ["MCP_RECORDED"], encoding="utf-8") as file:
            recorded = json.load(file)  # {"first": arguments, "more": {backend: file}}
        loop = seen["loop"] = {"before": await finish(recorded["first"])}
        about = {"job_id": loop["before"]["job_id"]}
        loop["diagnosis"] = await call("explain_bottleneck", about)
        loop["next"] = await call("next_pass", about)
        wanted = dict.fromkeys(p["pass"].split(":")[0] for p in loop["next"]["answer"]["passes"])
        files = [recorded["more"][name] for name in wanted if name in recorded["more"]]
        loop["after"] = await finish({
            **recorded["first"], "files": recorded["first"]["files"] + files,
            "passes": recorded["first"]["passes"] + [f"replay:{f['path']}" for f in files]})
        again = {"job_id": loop["after"]["job_id"]}
        loop["again"] = await call("explain_bottleneck", again)
        loop["hotspots"] = await call("hotspots", again)
        loop["compared"] = await call("compare_jobs", {"job_a": about["job_id"], "job_b": again["job_id"]})
        seen["missing"] = await call("get_job", {"job_id": 999999})
        seen["wrong"] = await call("hotspots", {"job_id": job, "by": "colour"})
        try:
            await call("no_such_tool", {})
            seen["unknown"] = ""
        except Exception as error:  # the SDK's own class differs by version
            seen["unknown"] = str(error)
        seen["longest"] = longest
        seen["version"] = str(client.protocol_version) if hasattr(client, "protocol_version") else ""
    print(json.dumps(seen))


asyncio.run(main())
