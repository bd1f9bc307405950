"""A client of MCP's streamable HTTP, stateless revision, with nothing but Python's own library."""

import itertools
import json
import urllib.error
import urllib.request

VERSION = "2026-07-28"


class McpError(Exception):
    """The server refused the message itself; tools report their errors in their results."""


class McpClient:
    """Talks to one MCP address. `token` is sent as a bearer token when it is not empty."""

    def __init__(self, url, token="", timeout_s=120):
        self.url, self.token, self.timeout_s = url, token, timeout_s
        self._ids = itertools.count(1)

    def tools(self):
        """The tools: name, description, inputSchema."""
        return self._call("tools/list", {})["tools"]

    def guide(self):
        """How to work with the server, for a model's system prompt."""
        contents = self._call("resources/read", {"uri": "sextant://guide"})["contents"]
        return contents[0]["text"]

    def call(self, name, arguments):
        """A tool's answer: (text for a model, whether it is an error)."""
        result = self._call("tools/call", {"name": name, "arguments": arguments})
        parts = []
        for part in result["content"]:
            if part["type"] == "text":
                parts.append(part["text"])
            elif part["type"] == "resource_link":
                parts.append(f"[file {part['name']}: {part['uri']}]")
        return "\n".join(parts), bool(result.get("isError"))

    def _call(self, method, params):
        meta = {"io.modelcontextprotocol/protocolVersion": VERSION,
                "io.modelcontextprotocol/clientInfo": {"name": "sextant-example-agent", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {}}
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": {**params, "_meta": meta}}
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
                   "MCP-Protocol-Version": VERSION, "Mcp-Method": method}
        if name := params.get("name") or params.get("uri"):
            headers["Mcp-Name"] = name
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as answer:
                message = json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            try:
                text = json.loads(text)["error"]["message"]
            except (ValueError, KeyError, TypeError):
                pass
            raise McpError(f"{method}: HTTP {error.code}: {text}") from error
        if "error" in message:
            raise McpError(f"{method}: {message['error']['message']}")
        return message["result"]
