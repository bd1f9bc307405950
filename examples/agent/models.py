"""Models that an agent can be made of: any endpoint that speaks like OpenAI's chat completions or like
Anthropic's messages, and a script for tests.

Each has one method:
    turn(system, tools, history) → Turn
`history` is a list of ("user", text), ("turn", Turn) and ("results", [(call id, text, is_error)])."""

import dataclasses
import json
import os
import re
import urllib.error
import urllib.request


@dataclasses.dataclass
class Call:
    id: str
    name: str
    arguments: dict


@dataclasses.dataclass
class Turn:
    text: str
    calls: list  # of Call; empty: the model has finished


class ModelError(Exception):
    """The endpoint did not answer as expected; the message says how it did."""


def post(url, headers, body, timeout_s=300):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise ModelError(f"{url}: HTTP {error.code}: {error.read().decode(errors='replace')[:500]}") from error
    except urllib.error.URLError as error:
        raise ModelError(f"{url}: {error.reason}") from error


class Anthropic:
    """POST …/v1/messages."""

    def __init__(self, url, key, name, max_tokens=4096):
        self.url, self.key, self.name, self.max_tokens = url, key, name, max_tokens

    def turn(self, system, tools, history):
        messages = []
        for kind, what in history:
            if kind == "user":
                messages.append({"role": "user", "content": what})
            elif kind == "turn":
                content = [{"type": "text", "text": what.text}] if what.text else []
                content += [{"type": "tool_use", "id": c.id, "name": c.name, "input": c.arguments} for c in what.calls]
                messages.append({"role": "assistant", "content": content})
            else:
                messages.append({"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": i, "content": text, "is_error": error}
                    for i, text, error in what]})
        answer = post(self.url, {"x-api-key": self.key, "anthropic-version": "2023-06-01"}, {
            "model": self.name, "max_tokens": self.max_tokens, "system": system, "messages": messages,
            "tools": [{"name": t["name"], "description": t["description"], "input_schema": t["inputSchema"]}
                      for t in tools]})
        blocks = answer.get("content", [])
        return Turn("".join(b["text"] for b in blocks if b["type"] == "text"),
                    [Call(b["id"], b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"])


class OpenAi:
    """POST …/v1/chat/completions."""

    def __init__(self, url, key, name):
        self.url, self.key, self.name = url, key, name

    def turn(self, system, tools, history):
        messages = [{"role": "system", "content": system}]
        for kind, what in history:
            if kind == "user":
                messages.append({"role": "user", "content": what})
            elif kind == "turn":
                message = {"role": "assistant", "content": what.text or None}
                if what.calls:
                    message["tool_calls"] = [
                        {"id": c.id, "type": "function",
                         "function": {"name": c.name, "arguments": json.dumps(c.arguments)}} for c in what.calls]
                messages.append(message)
            else:
                messages += [{"role": "tool", "tool_call_id": i, "content": text} for i, text, _ in what]
        answer = post(self.url, {"Authorization": f"Bearer {self.key}"}, {
            "model": self.name, "messages": messages,
            "tools": [{"type": "function", "function": {
                "name": t["name"], "description": t["description"], "parameters": t["inputSchema"]}} for t in tools]})
        message = answer["choices"][0]["message"]
        calls = []
        for call in message.get("tool_calls") or []:
            try:
                arguments = json.loads(call["function"]["arguments"] or "{}")
            except ValueError:
                arguments = {}  # the tool says what is missing
            calls.append(Call(call["id"], call["function"]["name"], arguments))
        return Turn(message.get("content") or "", calls)


class Scripted:
    """Does what a file says: a list of {"say": text, "call": tool, "arguments": {…}, "as": name,
    "until": {field: [values]}}. "$name.field" in arguments and texts is a field of the answer kept as `name`;
    a step with `until` is repeated until the field has one of the values."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.steps = json.load(file)
        self.kept, self.at = {}, 0

    def turn(self, system, tools, history):
        if history and history[-1][0] == "results":
            step = self.steps[self.at]
            answer = json.loads(history[-1][1][0][1].splitlines()[0])
            self.kept[step.get("as", step["call"])] = answer
            if all(answer.get(field) in values for field, values in step.get("until", {}).items()):
                self.at += 1
        if self.at == len(self.steps):
            return Turn("", [])
        step = self.steps[self.at]
        calls = []
        if "call" in step:
            known = [t["name"] for t in tools]
            if step["call"] not in known:
                raise ModelError(f"the script calls {step['call']}; there are {', '.join(known)}")
            calls = [Call(f"call-{len(history)}", step["call"], self._fill(step.get("arguments", {})))]
        return Turn(self._fill(step.get("say", "")), calls)

    def _fill(self, value):
        if isinstance(value, dict):
            return {k: self._fill(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self._fill(v) for v in value]
        if not isinstance(value, str):
            return value
        if whole := re.fullmatch(r"\$(\w+)\.(\w+)", value):
            return self.kept[whole[1]].get(whole[2])
        if whole := re.fullmatch(r"\$env\((\w+)\)", value):
            return os.environ[whole[1]]
        return re.sub(r"\$(\w+)\.(\w+)", lambda m: str(self.kept[m[1]].get(m[2])), value)


def from_environment():
    """The model that MODEL_URL, MODEL_KEY, MODEL_NAME and MODEL_KIND name."""
    url, kind = os.environ.get("MODEL_URL", ""), os.environ.get("MODEL_KIND", "")
    if kind == "scripted":
        return Scripted(url)
    if not url or not os.environ.get("MODEL_NAME"):
        raise ModelError("set MODEL_URL (…/v1/messages or …/v1/chat/completions), MODEL_NAME and MODEL_KEY")
    kind = kind or ("anthropic" if url.rstrip("/").endswith("/messages") else "openai")
    maker = {"anthropic": Anthropic, "openai": OpenAi}.get(kind)
    if maker is None:
        raise ModelError(f"MODEL_KIND {kind}: there are anthropic, openai and scripted")
    return maker(url, os.environ.get("MODEL_KEY", ""), os.environ["MODEL_NAME"])
