"""Runs a Python program under Proton, Triton's profiler. Started by the backend `proton`:

    python3 -c THIS [-m MODULE | -c CODE | SCRIPT] ARGUMENTS

SEXTANT_PROTON is a JSON object of options (workers/backends/proton/options.cc writes it). What is
recorded goes to `directory`:

    launches-<pid>.jsonl   one JSON object a line, written when it happens
    <pid>-<n>.raw          the raw buffer of the n-th launch, as Proton's host buffer holds it
    <pid>-<n>.mlir         the compiler's text in which the scopes of that launch's kernel stand, once for each kernel
    host.hatchet, kernels.chrome_trace, intra.chrome_trace     what Proton writes itself, at the end

Nothing is asked of Proton's version: what a version offers is looked for, and what is missing is said
in a "note" line. Only the standard library is imported before the program asks for more.
"""

import atexit
import ctypes
import json
import os
import re
import runpy
import struct
import sys
import time

SPARSE_BYTES = 16 << 20  # larger buffers are written without the parts that hold no record
PREAMBLE = 0xDEADBEEF
BLOCK_HEADER_BYTES = 40
# Where scopes stand with their source lines, the nearest to the source first: what the front end made of each function,
# what was made of the whole kernel, and what an override may have put there.
SCOPE_LEVELS = (".source", ".ttir", ".ttgir")
MAX_SCOPE_TEXT_BYTES = 4 << 20


class Log:
    """The lines of this process. A forked child gets a file of its own."""

    def __init__(self, directory):
        self.directory = directory
        self.pid = None
        self.file = None

    def line(self, kind, **fields):
        if self.pid != os.getpid():
            self.pid = os.getpid()
            path = os.path.join(self.directory, f"launches-{self.pid}.jsonl")
            self.file = open(path, "a", buffering=1, encoding="utf-8")
            self.line("process", parent=os.getppid(), monotonic_ns=time.monotonic_ns())
        self.file.write(json.dumps(dict(fields, kind=kind)) + "\n")

    def note(self, text):
        self.line("note", text=text)


class LibProton:
    """Stands before Proton's C++ module where the instrumentation hook calls it: learns the scopes'
    names, and keeps Proton's own reading of the buffer (slow, and for 64 MiB at most) from running."""

    def __init__(self, real, raw):
        self._real = real
        self._raw = raw

    def __getattr__(self, name):
        return getattr(self._real, name)

    def init_function_metadata(self, function, name, scopes, *rest):
        self._raw.scopes[function] = {int(i): str(text) for i, text in scopes}
        return self._real.init_function_metadata(function, name, scopes, *rest)

    def enter_instrumented_op(self, *args):
        if self._raw.keep_reader:
            return self._real.enter_instrumented_op(*args)

    def exit_instrumented_op(self, *args):
        if self._raw.keep_reader:
            return self._real.exit_instrumented_op(*args)


class Clock:
    """The GPU's clock as NVML tells it. Without NVML it is not known."""

    def __init__(self):
        self.device = None
        try:
            import torch
            self.nvml = ctypes.CDLL("libnvidia-ml.so.1")
            device = ctypes.c_void_p()
            uuid = f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}".encode()
            if self.nvml.nvmlInit_v2() == 0 and self.nvml.nvmlDeviceGetHandleByUUID(uuid, ctypes.byref(device)) == 0:
                self.device = device
        except Exception:  # no library, no such function, no UUID
            pass

    def khz(self):
        mhz = ctypes.c_uint(0)
        if self.device is None or self.nvml.nvmlDeviceGetClockInfo(self.device, 1, ctypes.byref(mhz)) != 0:
            return 0
        return mhz.value * 1000


class RawBuffers:
    """Writes the buffer of every launch of an instrumented kernel."""

    def __init__(self, options, log):
        self.log = log
        self.directory = options["directory"]
        self.matters = re.compile(options.get("kernels", ""))
        self.max_launches = options["launches"]
        self.bytes_left = options["keep_bytes"]
        self.keep_reader = options["chrome"]
        self.scopes = {}      # function → {scope id: name}
        self.metadata = {}    # function → what the compiler said of it
        self.texts = {}       # function → file of the text with its scopes; "": there is none
        self.launches = 0
        self.kept = 0
        self.left_out = 0
        self.entered_ns = 0
        self.clock = None

    def attach(self, instrumentation):
        """False: this Proton keeps its buffer where we do not find it."""
        hook = getattr(instrumentation, "InstrumentationHook", None)
        needed = ("enter", "exit", "init_handle")
        if hook is None or not all(hasattr(hook, name) for name in needed):
            return False
        if not hasattr(instrumentation, "libproton"):
            return False
        instrumentation.libproton = LibProton(instrumentation.libproton, self)
        enter, leave = hook.enter, hook.exit

        def on_enter(this, metadata):
            self.entered_ns = time.monotonic_ns()
            return enter(this, metadata)

        def on_exit(this, metadata):
            try:
                return leave(this, metadata)
            finally:
                try:
                    self.take(this, metadata)
                except Exception as error:  # the program goes on without this launch
                    self.log.note(f"a launch was not recorded: {type(error).__name__}: {error}")
                this.buffer = None  # the next kernel may have no scopes, and so no buffer

        hook.enter, hook.exit = on_enter, on_exit
        return True

    def describe(self, hook, function):
        if function not in self.metadata:
            path = getattr(hook, "metadata_path", {}).get(function)
            with open(path, encoding="utf-8") as file:
                self.metadata[function] = json.load(file)
        return self.metadata[function]

    def scope_text(self, hook, function, number):
        """The file that holds the kernel's scopes with their lines; "" where the compiler kept none."""
        if function in self.texts:
            return self.texts[function]
        self.texts[function] = ""
        stem = os.path.splitext(getattr(hook, "metadata_path", {}).get(function) or "")[0]
        for level in SCOPE_LEVELS if stem else ():
            try:
                with open(stem + level, "rb") as file:
                    text = file.read(MAX_SCOPE_TEXT_BYTES + 1)
            except OSError:
                continue
            if b"proton.record" not in text or len(text) > MAX_SCOPE_TEXT_BYTES:
                continue
            name = f"{os.getpid()}-{number}.mlir"
            with open(os.path.join(self.directory, name), "wb") as file:
                file.write(text)
            self.texts[function] = name
            break
        return self.texts[function]

    def take(self, hook, metadata):
        data = getattr(metadata, "data", metadata)
        name, function = str(data.get("name")), data.get("function")
        if not self.matters.search(name):
            return
        number = self.launches
        self.launches += 1
        buffer = getattr(hook, "buffer", None)
        about = self.describe(hook, function)
        block_bytes = int(about.get("profile_scratch_size", 0))
        line = dict(launch=number, kernel=name, enter_ns=self.entered_ns)
        if buffer is None or block_bytes == 0:
            self.log.line("launch", **line)
            return
        if self.kept >= self.max_launches or self.bytes_left <= 0:
            self.left_out += 1
            self.log.line("left_out", **line)
            return
        import torch
        torch.cuda.synchronize()
        self.clock = self.clock or Clock()
        line["clock_khz"] = self.clock.khz()
        line["exit_ns"] = time.monotonic_ns()
        file = f"{os.getpid()}-{number}.raw"
        self.bytes_left -= self.write(os.path.join(self.directory, file), buffer.cpu(), about, hook.mode)
        self.kept += 1
        scopes = self.scopes.get(function, {})
        text = self.scope_text(hook, function, number)
        if text:
            line["text"] = text
        self.log.line("launch", file=file, scopes=[scopes.get(i, "") for i in range(max(scopes, default=-1) + 1)],
                      **line)

    def write(self, path, buffer, about, mode):
        """The file's bytes on disk. `buffer` is a tensor of bytes in host memory."""
        size = buffer.element_size() * buffer.numel()
        block_bytes, units = int(about["profile_scratch_size"]), int(about["num_warps"])
        blocks = size // block_bytes
        sampled = [int(unit) for unit in str(getattr(mode, "sampling_options", "")).split(",") if unit.strip()]
        recording = sampled or list(range(units))
        header_bytes = 40 + 4 * len(recording)
        device = {"cuda": 1, "hip": 2}.get(str(about.get("target", {}).get("backend")), 0)
        header = struct.pack(f"<{10 + len(recording)}I", 1, 4, header_bytes, header_bytes, size & 0xFFFFFFFF, device,
                             blocks, units, block_bytes, len(recording), *recording)
        payload = (ctypes.c_char * size).from_address(buffer.data_ptr())
        view = memoryview(payload).cast("B")
        with open(path, "wb", buffering=0) as file:
            file.write(header)
            if size <= SPARSE_BYTES:
                written = 0
                while written < size:
                    written += file.write(view[written:])
                return header_bytes + size
            written = 0
            for block in range(blocks):
                at = block * block_bytes
                if struct.unpack_from("<I", view, at)[0] != PREAMBLE:
                    continue
                head = BLOCK_HEADER_BYTES + 4 * units
                counts = struct.unpack_from(f"<{units}I", view, at + BLOCK_HEADER_BYTES)
                part = struct.unpack_from("<I", view, at + 12)[0] // len(recording)
                written += os.pwrite(file.fileno(), view[at:at + head], header_bytes + at)
                for i, unit in enumerate(recording):
                    begin = at + head + i * part
                    end = begin + min(counts[unit] * 4, part)
                    written += os.pwrite(file.fileno(), view[begin:end], header_bytes + begin)
            file.truncate(header_bytes + blocks * block_bytes)
            return written


class Intra:
    """Proton's instrumentation of kernels, started before the first Triton kernel is compiled."""

    def __init__(self, options, log):
        self.options = options
        self.log = log
        self.session = None
        self.raw = RawBuffers(options, log)
        self.raw_works = False

    def prepare(self):
        import triton.profiler as proton
        from triton.profiler.hooks import instrumentation
        from triton.runtime.jit import JITFunction

        self.proton = proton
        self.raw_works = self.options["raw"] and self.raw.attach(instrumentation)
        if not self.raw_works:
            if self.options["raw"]:
                self.log.note("this Proton shows no raw buffer: its Chrome trace was read instead, which "
                              "knows neither lost records nor launches")
            self.raw.keep_reader = True
        self.real_start = proton.start
        # The module of this name is hidden by the function of this name.
        for module in (proton, sys.modules.get("triton.profiler.profile")):
            if hasattr(module, "start"):
                module.start = self.on_users_start
        run, outer = JITFunction.run, self

        def first_run(this, *args, **kwargs):
            JITFunction.run = run
            outer.start()
            return this.run(*args, **kwargs)

        JITFunction.run = first_run

    def on_users_start(self, name=None, **kwargs):
        if kwargs.get("backend") != "instrumentation":
            return self.real_start(name, **kwargs)
        if self.session is None:
            self.log.note("the program starts Proton's instrumentation itself: its mode was used, not the pass's")
            self.raw.keep_reader = True  # the program may want to read its own file
            self.session = self.real_start(name, **kwargs)
            self.users = True
            return self.session
        self.log.note("the program starts Proton's instrumentation after kernels ran; there can be one in a "
                      "process: it got the pass's, and its own file is not written")
        return self.session

    users = False

    def start(self):
        if self.session is not None:
            return
        mode = self.proton.mode
        wanted = dict(self.options["mode"])
        fields = getattr(mode.Default, "__dataclass_fields__", {})
        for name in [name for name in wanted if name not in fields]:
            self.log.note(f"this Proton has no option {name}; it was not set")
            del wanted[name]
        if wanted.get("granularity", "warp") != "warp":
            self.log.note("Proton 3.6 compiles scopes by warp alone, though it knows other granularities")
        self.session = self.real_start(os.path.join(self.options["directory"], "intra"), data="trace",
                                       backend="instrumentation", mode=mode.Default(**wanted))
        try:
            import triton
            device = triton.runtime.driver.active.get_current_device()
            about = triton.runtime.driver.active.utils.get_device_properties(device)
            self.log.line("device", clock_khz=int(about.get("sm_clock_rate", 0)))
        except Exception as error:
            self.log.note(f"the GPU's clock rate is not known: {error}")

    def finish(self):
        if self.raw.left_out:
            self.log.note(f"{self.raw.left_out} launches were not kept; options launches and keep_bytes allow more")
        if self.session is None:
            self.log.note("no Triton kernel was launched")
        elif not self.users:
            self.proton.finalize(self.session)


class Host:
    """Kernels as the host sees them, by CUPTI or roctracer. The program's own sessions stand beside."""

    def __init__(self, options, log):
        self.options = options
        self.log = log
        self.sessions = []

    def prepare(self):
        import triton.profiler as proton
        self.proton = proton
        amd = os.path.exists("/dev/kfd") and not os.path.exists("/dev/nvidiactl")
        hook = "triton" if self.options["hook"] else None
        for data, name in (("tree", "host"), ("trace", "kernels")):  # one name is one session
            try:
                self.sessions.append(proton.start(os.path.join(self.options["directory"], name), data=data,
                                                  backend="roctracer" if amd else "cupti",
                                                  context=self.options["context"], hook=hook))
            except Exception as error:
                self.log.note(f"Proton refused data={data}: {type(error).__name__}: {error}")
        if not self.sessions:
            raise SystemExit("proton_launch: Proton cannot be started; the notes of this pass say why")

    def finish(self):
        for session in self.sessions:
            self.proton.finalize(session)


def at_end(finish, log):
    """Calls `finish` once in this process, however it ends short of a signal."""
    state = {"pid": os.getpid()}

    def once():
        if state.get("pid") != os.getpid():
            return
        state["pid"] = None
        try:
            finish()
        except Exception as error:
            log.note(f"Proton failed to finish: {type(error).__name__}: {error}")
        log.line("end")

    leave = os._exit

    def at_once(code):
        once()
        leave(code)

    os._exit = at_once
    atexit.register(once)
    return once


def run(arguments):
    """What `python3 ARGUMENTS` does, in this process."""
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path[0] = os.getcwd()
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif arguments[0] == "-c":
        sys.argv = ["-c"] + arguments[2:]
        sys.path[0] = ""
        main = sys.modules["__main__"] = type(sys)("__main__")
        exec(compile(arguments[1], "<string>", "exec"), main.__dict__)
    else:
        script = os.path.abspath(arguments[0])
        sys.argv = arguments
        sys.path[0] = os.path.dirname(os.path.realpath(script))
        try:
            with open(script, "rb") as file:
                code = compile(file.read(), script, "exec")
        except OSError as error:
            sys.stderr.write(f"{sys.executable}: can't open file '{script}': "
                             f"[Errno {error.errno}] {error.strerror}\n")
            sys.exit(2)
        main = sys.modules["__main__"] = type(sys)("__main__")
        main.__dict__.update(__file__=script, __builtins__=__builtins__)
        exec(code, main.__dict__)


def start():
    options = json.loads(os.environ.pop("SEXTANT_PROTON"))
    os.makedirs(options["directory"], exist_ok=True)
    log = Log(options["directory"])
    session = (Intra if options["where"] == "intra" else Host)(options, log)
    try:
        session.prepare()
    except ImportError as error:
        log.note(f"Triton's profiler cannot be imported: {error}")
        raise SystemExit(f"proton_launch: {error}")
    return at_end(session.finish, log)


if __name__ == "__main__":
    finish = start()
    try:
        run(sys.argv[1:])
    finally:
        finish()
