#!/usr/bin/env python3
"""An agent's whole loop on a real Triton kernel: submit, wait, diagnose, the next pass, change, compare.

    loop.py [URL]      the service's address for MCP; default: what `sextant version` says
    loop.py --log FILE also writes every call and answer there, as JSON lines

Through the official Python SDK (`pip install mcp`). In place of a model there is a policy that knows of the kernel only
what a model would: which line to change, and what the diagnosis's rules and hints mean for a matmul. It changes
matmul.py where a finding says so, and keeps a change only when compare_jobs says "faster". Prints each
call, its answer's size in bytes and its sentence; the last line is JSON."""

import argparse
import asyncio
import json
import os
import pathlib
import re
import subprocess
import sys
import time

from mcp.client.client import Client

SOURCE = pathlib.Path(__file__).resolve().parent / "matmul.py"
KERNEL = "mm_kernel"
CLEAN = "activity:light=1*7"
MAX_CHANGES = 6


def with_config(source, config):
    """The program with another configuration."""
    return re.sub(r"^CONFIG = .*$", f"CONFIG = {json.dumps(config)}", source, count=1, flags=re.M)


def changes_for(rule, config):
    """What a finding's rule asks for, in this kernel's terms: configurations that differ in one respect."""
    deeper = [dict(config, num_stages=n) for n in (3, 4) if n > config["num_stages"]][:1]
    larger = [dict(config, BLOCK_M=128, BLOCK_N=128, num_warps=8)] if config["BLOCK_M"] < 128 else []
    longer = [dict(config, BLOCK_K=64)] if config["BLOCK_K"] < 64 else []
    smaller = [dict(config, BLOCK_M=64, BLOCK_N=64, num_warps=4)] if config["BLOCK_M"] > 64 else []
    return {
        "exposed-latency": deeper + longer,                # "load earlier: software pipelining, more stages"
        "latency-bound": deeper + longer + larger,
        "low-tensor-pipe-use": longer + larger + deeper,   # "more stages, larger tiles along K"
        "instruction-issue-bound": larger + longer,        # fewer instructions for the same product
        "small-grid": smaller,
        "tail-wave": smaller,
    }.get(rule, larger if "memory" in rule or "l2" in rule or "l1" in rule or "bandwidth" in rule else [])


class Loop:
    def __init__(self, client, log):
        self.client, self.log, self.calls = client, log, []

    async def call(self, name, **arguments):
        began = time.monotonic()
        result = await self.client.call_tool(name, arguments)
        text = next(c.text for c in result.content if c.type == "text")
        answer = result.structured_content or json.loads(text)
        shown = {k: v for k, v in arguments.items() if k != "files"}
        say = str(answer.get("answer", answer.get("error", "")))
        print(f"→ {name} {json.dumps(shown)}\n  {len(text.encode())} B, {time.monotonic() - began:.2f} s: {say[:600]}", flush=True)
        self.calls.append((name, len(text.encode())))
        if self.log:
            self.log.write(json.dumps({"tool": name, "arguments": shown, "failed": bool(result.is_error), "bytes": len(text.encode()),
                                       "answer": answer}) + "\n")
        if result.is_error and "error" in answer:
            raise SystemExit(f"{name}: {answer['error']}")
        return answer

    async def run(self, source, passes, **more):
        """Submits the program and waits; its job id. Takes passes that cannot look at it off the list, as their failure says."""
        submitted = await self.call("submit_job", argv=["python3", "matmul.py"], passes=passes, kernels="mm_.*", gpu=True,
                                    files=[{"path": "matmul.py", "text": source}], **more)
        while True:
            job = await self.call("get_job", job_id=submitted["job_id"], wait_s=50)
            if job["state"] in ("done", "failed", "cancelled"):
                break
        if job["state"] == "done":
            return submitted["job_id"]
        said = job.get("failure", {}).get("message", "")
        print(f"  failed: {said[:500]}", flush=True)
        rows = await self.call("query", sql=f"SELECT DISTINCT backend FROM passes WHERE job_id = {submitted['job_id']} "
                                            "AND state = 'failed' ORDER BY backend")
        failed = {row[0] for row in rows["rows"]}
        rest = [one for one in passes if one.split(":")[0].split("*")[0] not in failed]
        if not failed or rest == passes or CLEAN not in rest:
            raise SystemExit(f"the program itself fails: {said}")
        if 'the backend "proton" does without' in said:
            rest.append("proton:mode=intra*3")
        passes[:] = rest
        return await self.run(source, passes, **more)

    async def findings(self, job):
        answer = await self.call("explain_bottleneck", job_id=job, kernel=KERNEL)
        for finding in answer.get("findings", []):
            print(f"  · {json.dumps(finding)[:400]}", flush=True)
        return answer.get("findings", [])

    async def work(self):
        source = SOURCE.read_text(encoding="utf-8")
        config = json.loads(re.search(r"^CONFIG = (.*)$", source, flags=re.M)[1])
        await self.call("describe_service")
        passes = [CLEAN]
        job = await self.run(source, passes, fresh=True)
        kept, tried, asked = [], [config], set()
        while len(tried) <= MAX_CHANGES:
            findings = await self.findings(job)
            # What is open, and which pass would settle it: until nothing new is suggested.
            following = await self.call("next_pass", job_id=job, kernel=KERNEL)
            wanted = [one["pass"] for one in following.get("passes", []) if one["pass"].split(":")[0].split("*")[0] not in asked]
            if wanted:
                wanted = [re.sub(r"^--pass\s+", "", one) for one in wanted]
                asked |= {one.split(":")[0].split("*")[0] for one in wanted}
                passes += [one for one in wanted if one not in passes]
                job = await self.run(source, passes)
                continue
            proposal = next(((finding.get("rule", ""), changed) for finding in findings
                             for changed in changes_for(finding.get("rule", ""), config) if changed not in tried), None)
            if proposal is None:
                break
            rule, changed = proposal
            tried.append(changed)
            print(f"  because of {rule}: {config} → {changed}", flush=True)
            other = await self.run(with_config(source, changed), passes, fresh=True)
            compared = await self.call("compare_jobs", job_a=job, job_b=other)
            verdict = compared.get("verdict", "")
            kept.append({"rule": rule, "from": config, "to": changed, "verdict": verdict, "answer": compared.get("answer", "")})
            if verdict == "faster":
                source, config, job = with_config(source, changed), changed, other
        first = SOURCE.read_text(encoding="utf-8")
        return {"before": json.loads(re.search(r"^CONFIG = (.*)$", first, flags=re.M)[1]), "after": config, "steps": kept,
                "calls": len(self.calls), "largest_answer_bytes": max(size for _, size in self.calls), "passes": passes}


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--log", type=pathlib.Path)
    parser.add_argument("--after", type=pathlib.Path, help="the program as the agent leaves it goes there")
    options = parser.parse_args()
    url = options.url or json.loads(subprocess.run(
        [os.environ.get("SEXTANT_PROGRAM", "sextant"), "--format", "json", "version"], check=True, capture_output=True, text=True,
    ).stdout)["addresses"]["mcp"]
    log = options.log.open("w", encoding="utf-8") if options.log else None
    async with Client(url) as client:
        loop = Loop(client, log)
        outcome = await loop.work()
    if options.after:
        options.after.write_text(with_config(SOURCE.read_text(encoding="utf-8"), outcome["after"]), encoding="utf-8")
    print(json.dumps(outcome))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
