"""Launches one kernel as launch.json says. This file travels to the worker with the kernel's module; it needs
PyTorch where there are tensors, and nothing of Sextant."""

import importlib
import json
import sys
from typing import Any


def main(path: str = "launch.json") -> int:
    with open(path, encoding="utf-8") as file:
        plan = json.load(file)
    torch: Any = None
    if plan["torch"]:
        import torch  # type: ignore[import-not-found,no-redef,unused-ignore]

    def tensor(spec: Any) -> Any:
        dtype = getattr(torch, spec["dtype"])
        shape, device = spec["shape"], plan["device"]
        if "file" in spec:
            with open(spec["file"], "rb") as data:
                flat = torch.frombuffer(bytearray(data.read()) or bytearray(1), dtype=torch.uint8)
            return flat[:spec["bytes"]].view(dtype).reshape(shape).to(device)
        fill = spec["fill"]
        if fill == "arange":
            count = 1
            for n in shape:
                count *= n
            return torch.arange(count, device=device).reshape(shape).to(dtype)
        if isinstance(fill, (int, float)):
            return torch.full(shape, fill, device=device, dtype=dtype)
        if fill == "empty":
            return torch.empty(shape, device=device, dtype=dtype)
        if fill == "randint":
            return torch.randint(0, 128, shape, device=device).to(dtype)
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        return getattr(torch, fill)(shape, device=device, dtype=wide).to(dtype)

    def value(spec: Any) -> Any:
        kind = spec["kind"]
        if kind == "tensor":
            return tensor(spec)
        if kind == "tuple":
            return tuple(value(v) for v in spec["values"])
        if kind == "dtype":
            return getattr(importlib.import_module(spec["module"]), spec["name"])
        return spec["value"]

    if torch is not None:
        torch.manual_seed(plan["seed"])
    kernel = getattr(importlib.import_module(plan["module"]), plan["function"])
    arguments = [value(v) for v in plan["args"]]
    keywords = {name: value(v) for name, v in plan["kwargs"].items()}
    for _ in range(plan["launches"]):
        kernel[tuple(plan["grid"])](*arguments, **keywords)
    if torch is not None and plan["device"] == "cuda":
        torch.cuda.synchronize()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
