"""`@sextant.kernel`: a Triton kernel with its launch arguments as a workload.

    @sextant.kernel
    @triton.jit
    def add(x, y, out, n, BLOCK: tl.constexpr):
        ...

    x = sextant.Tensor((1 << 20,), "float16", fill="randn")
    work = add[(1024,)](x, x, sextant.Tensor((1 << 20,), "float16"), 1 << 20, BLOCK=1024)
    run = job.profile(work, passes=["proton*20"])

What travels is the kernel with the statements of its file that it needs (its lines keep their numbers), the
modules beside it, the arguments, and a small program that launches it on the worker, which has PyTorch and
Triton. This side needs a GPU for nothing, and PyTorch only when tensors are given by their contents."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any, Callable, Generic, Optional, Sequence, TypeVar, Union, overload

from sextant.bundle import Local
from sextant.errors import UsageError
from sextant.imports import imported_names, local_modules
from sextant.kernel_source import kernel_source, plain_function
from sextant.workload import Workload

K = TypeVar("K")

_FILLS = ("empty", "zeros", "ones", "arange", "rand", "randn", "randint")
_MOST_TENSOR_BYTES = 1 << 30

#: What a kernel is launched over: programs along up to three axes, or a function of the arguments by name.
Grid = Union[int, Sequence[int], Callable[[dict[str, Any]], Any]]


@dataclass(frozen=True)
class Tensor:
    """A tensor that the worker makes: nothing of its contents travels.

    shape: its extents. dtype: PyTorch's name, "float16". fill: a number, or "empty", "zeros", "ones",
    "arange", "rand" (uniform in [0, 1)), "randn" (normal), "randint" (0 … 127); seeded by the workload's seed."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    fill: Union[str, float, int] = "zeros"

    def __post_init__(self) -> None:
        if isinstance(self.fill, str) and self.fill not in _FILLS:
            raise UsageError(f"fill: there is no {self.fill!r}", field="fill", remedy="a number, or " + ", ".join(_FILLS))
        if any(n < 0 for n in self.shape):
            raise UsageError(f"shape: {self.shape} has a negative extent", field="shape")


class Launch:
    """A kernel with a grid: call it with the kernel's arguments."""

    def __init__(self, kernel: "Kernel[Any]", grid: Grid) -> None:
        self._kernel, self._grid = kernel, grid

    def __call__(self, *args: Any, **kwargs: Any) -> Workload:
        return self._kernel.workload(self._grid, args, kwargs)


class Kernel(Generic[K]):
    """A kernel that can be packed. `kernel[grid](arguments)` is a Workload; `function` is the kernel itself,
    to launch it here."""

    def __init__(self, function: K, *, launches: int = 3, python: str = "python3", device: str = "cuda",
                 seed: int = 0, gpu: Optional[bool] = None) -> None:
        self.function = function
        self.launches = launches
        self.python = python
        self.device = device
        self.seed = seed
        self.gpu = device == "cuda" if gpu is None else gpu
        self.name = plain_function(function).__name__

    def __getitem__(self, grid: Grid) -> Launch:
        return Launch(self, grid)

    def workload(self, grid: Grid, args: Sequence[Any], kwargs: dict[str, Any]) -> Workload:
        """A program that launches it, with all it needs."""
        source = kernel_source(self.function)
        files: dict[str, Local] = {}
        packer = _Packer(files)
        packed_args = [packer.pack(f"argument {i}", v) for i, v in enumerate(args)]
        packed_kwargs = {name: packer.pack(name, v) for name, v in kwargs.items()}
        files[f"{source.module}.py"] = source.text.encode()
        if source.folder is not None:
            names = list(imported_names(source.text))
            for file in local_modules(names, source.folder):
                path = file.relative_to(source.folder).as_posix()
                files.setdefault(path, file)
        files["launch.py"] = resources.files("sextant").joinpath("launch.py").read_bytes()
        files["launch.json"] = json.dumps({
            "module": source.module, "function": self.name, "grid": self._grid(grid, args, kwargs),
            "args": packed_args, "kwargs": packed_kwargs, "launches": self.launches, "device": self.device,
            "seed": self.seed, "torch": packer.torch}, indent=1).encode()
        return Workload([self.python, "launch.py"], files=files, kernels=f"^{self.name}$", gpu=self.gpu, name=self.name)

    def _grid(self, grid: Grid, args: Sequence[Any], kwargs: dict[str, Any]) -> list[int]:
        if callable(grid):
            parameters = list(inspect.signature(plain_function(self.function)).parameters)
            named = {**dict(zip(parameters, args)), **kwargs}
            try:
                grid = grid(named)
            except KeyError as missing:
                raise UsageError(f"grid: needs {missing}, which is not among the arguments", field="grid",
                                 remedy="give it as an argument, or give the grid as numbers") from None
        extents: list[Any] = [grid] if isinstance(grid, int) else list(grid)  # type: ignore[arg-type]
        if not 1 <= len(extents) <= 3 or any(int(n) < 1 for n in extents):
            raise UsageError(f"grid: {extents} must be one to three numbers of programs, each at least 1", field="grid")
        return [int(n) for n in extents]

    def __repr__(self) -> str:
        return f"<Kernel {self.name}>"


class _Packer:
    """Arguments as JSON; contents of tensors as files."""

    def __init__(self, files: dict[str, Local]) -> None:
        self._files = files
        self.torch = False

    def pack(self, name: str, value: Any) -> dict[str, Any]:
        if value is None or isinstance(value, (bool, int, float, str)):
            return {"kind": "value", "value": value}
        if isinstance(value, Tensor):
            self.torch = True
            return {"kind": "tensor", "shape": list(value.shape), "dtype": value.dtype, "fill": value.fill}
        if isinstance(value, (tuple, list)):
            return {"kind": "tuple", "values": [self.pack(f"{name}[{i}]", v) for i, v in enumerate(value)]}
        module = type(value).__module__.split(".")[0]
        if type(value).__name__ == "dtype" and module in ("torch", "triton"):
            label = str(value).rsplit(".", 1)[-1] if module == "torch" else str(value.name)
            where = "torch" if module == "torch" else "triton.language"
            label = {"fp16": "float16", "fp32": "float32", "fp64": "float64", "bf16": "bfloat16"}.get(label, label)
            return {"kind": "dtype", "module": where, "name": label}
        if module == "torch" and hasattr(value, "detach"):
            flat = value.detach().cpu().contiguous()
            torch = __import__("torch")
            data = flat.flatten().view(torch.uint8).numpy().tobytes() if flat.numel() else b""
            return self._contents(name, data, list(value.shape), str(value.dtype).rsplit(".", 1)[-1])
        if module == "numpy" and hasattr(value, "tobytes"):
            if value.ndim == 0:
                return {"kind": "value", "value": value.item()}
            return self._contents(name, value.tobytes(), list(value.shape), str(value.dtype))
        raise UsageError(f"{name}: a {type(value).__name__} cannot travel to a worker", field=name,
                         remedy="give numbers, strings, dtypes, tensors of PyTorch or NumPy, or sextant.Tensor")

    def _contents(self, name: str, data: bytes, shape: list[int], dtype: str) -> dict[str, Any]:
        if len(data) > _MOST_TENSOR_BYTES:
            raise UsageError(f"{name}: {len(data)} bytes, at most {_MOST_TENSOR_BYTES} travel by contents", field=name,
                             remedy="describe it: sextant.Tensor(shape, dtype, fill)")
        self.torch = True
        path = f"tensors/{len(self._files)}.bin"
        self._files[path] = data
        return {"kind": "tensor", "shape": shape, "dtype": dtype, "file": path, "bytes": len(data)}


@overload
def kernel(function: K) -> Kernel[K]: ...
@overload
def kernel(*, launches: int = 3, python: str = "python3", device: str = "cuda", seed: int = 0,
           gpu: Optional[bool] = None) -> Callable[[K], Kernel[K]]: ...
def kernel(function: Optional[K] = None, **options: Any) -> Union[Kernel[K], Callable[[K], Kernel[K]]]:
    """Makes a Triton kernel one that can be packed: `kernel[grid](arguments)` is a workload.

    launches: how often a pass launches it. python: the worker's interpreter. device: where tensors are made.
    seed: of random fills. gpu: whether it needs one; default: when the device is "cuda"."""
    if function is not None:
        return Kernel(function)
    return lambda plain: Kernel(plain, **options)
