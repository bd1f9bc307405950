import json
import os
import tempfile

import torch

HOOKS = []


class LazyDict:
    def __init__(self, data):
        self.data = data


class JITFunction:
    def __init__(self, name, scopes, levels):
        self.name, self.scopes, self.levels, self.loaded = name, scopes, levels, False

    def run(self):
        if not HOOKS:
            return
        (hook,) = HOOKS
        if not self.loaded:
            with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
                json.dump({"profile_scratch_size": (40 + 8 + 256) if self.scopes else 0, "num_warps": 2,
                           "target": {"backend": "cuda"}}, file)
            for level, text in self.levels.items():
                with open(os.path.splitext(file.name)[0] + "." + level, "w") as beside:
                    beside.write(text)
            hook.init_handle(None, id(self), self.name, {"k.json": file.name, "k.ttgir": self.scopes}, "")
            self.loaded = True
        if self.scopes:
            with open(os.environ["STAND_IN_RAW"], "rb") as file:
                hook.buffer = torch.Tensor(file.read())
        metadata = LazyDict({"name": self.name, "function": id(self), "stream": 0})
        hook.enter(metadata)
        hook.exit(metadata)
