"""The example agent: its whole loop with a scripted model, and both kinds of endpoint as far as a test can
stand in for them."""

import base64
import http.server
import json
import os
import subprocess
import sys
import threading
import unittest

from harness import PIPELINE, ROOT, ServiceTest

AGENT = ROOT / "examples/agent/agent.py"


class Endpoint:
    """A model's endpoint that answers from a list and keeps what it was asked."""

    def __init__(self, answers):
        self.asked = asked = []
        rest = list(answers)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                asked.append((self.path, dict(self.headers), json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
                body = json.dumps(rest.pop(0)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Agent(ServiceTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.mcp = cls.service.ok("--format", "json", "version").json()["addresses"]["mcp"]

    def run_agent(self, *arguments, **env):
        return subprocess.run([sys.executable, AGENT, *arguments], capture_output=True, text=True, timeout=300,
                              env=dict(os.environ, SEXTANT_MCP=self.mcp, **env))

    def test_the_whole_loop_with_a_scripted_model(self):
        script = json.loads((ROOT / "examples/agent/script.json").read_text())
        for step in script:
            for file in step.get("arguments", {}).get("files", []):
                file["base64"] = base64.b64encode(PIPELINE.read_bytes()).decode()  # too long for the environment
        path = self.service.dir / "script.json"
        path.write_text(json.dumps(script))
        done = self.run_agent("Is it slower with one item more?", MODEL_KIND="scripted", MODEL_URL=str(path))
        self.assertEqual(done.returncode, 0, done.stderr)
        for tool in ("describe_service", "submit_job", "get_job", "explain_bottleneck", "next_pass", "compare_jobs"):
            self.assertIn(f"→ {tool}", done.stdout)
        self.assertRegex(done.stdout.splitlines()[-1], "Verdict: (faster|slower|no difference|inconclusive)")

    def test_an_endpoint_like_anthropics(self):
        endpoint = Endpoint([
            {"content": [{"type": "text", "text": "Looking."},
                         {"type": "tool_use", "id": "t1", "name": "describe_service", "input": {}},
                         {"type": "tool_use", "id": "t2", "name": "get_job", "input": {"job_id": 999999}}]},
            {"content": [{"type": "text", "text": "It serves."}]}])
        self.addCleanup(endpoint.close)
        done = self.run_agent("What is there?", MODEL_URL=endpoint.url + "/v1/messages", MODEL_NAME="m", MODEL_KEY="k")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("It serves.", done.stdout)
        first, second = endpoint.asked[0][2], endpoint.asked[1][2]
        self.assertEqual({k.lower(): v for k, v in endpoint.asked[0][1].items()}["x-api-key"], "k")
        self.assertEqual(len(first["tools"]), 14)
        self.assertIn("untrusted", first["system"])
        results = second["messages"][-1]["content"]
        self.assertEqual([(r["tool_use_id"], r["is_error"]) for r in results], [("t1", False), ("t2", True)])
        self.assertIn("NOT_FOUND", results[1]["content"])

    def test_an_endpoint_like_openais(self):
        endpoint = Endpoint([
            {"choices": [{"message": {"content": None, "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "describe_service", "arguments": "{}"}}]}}]},
            {"choices": [{"message": {"content": "It serves."}}]}])
        self.addCleanup(endpoint.close)
        done = self.run_agent("--quiet", "What is there?", MODEL_URL=endpoint.url + "/v1/chat/completions",
                              MODEL_NAME="m", MODEL_KEY="k")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.strip(), "It serves.")
        self.assertEqual(endpoint.asked[0][1]["Authorization"], "Bearer k")
        self.assertEqual(endpoint.asked[1][2]["messages"][-1]["tool_call_id"], "t1")

    def test_what_is_missing_is_said(self):
        done = self.run_agent("x", MODEL_URL="", MODEL_KIND="")
        self.assertEqual(done.returncode, 2)
        self.assertIn("MODEL_URL", done.stderr)


if __name__ == "__main__":
    unittest.main()
