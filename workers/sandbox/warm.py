"""The zygote of a warm container: imports modules, waits, and forks for each run.

    python3 [OPTIONS] -c BOOT THIS MODULES…      BOOT compiles THIS under the name in SHOWN

Descriptor 3 is a socket to the container's first process (workers/sandbox/warm_protocol.h). A forked
process does what `python3 [OPTIONS] REST…` would do, with REST, environment and standard streams of the
run; only the imports lie behind it. Modules that cannot be imported are left to the run. Nothing here may
touch a GPU: a context does not survive a fork, so a module that opens one makes the container useless.

What Triton compiled in one run, the next finds in its own cache directory: Triton names it by a digest of
everything it was made from. It travels as a file in memory, from the run that ends to the zygote and on.

At its end a run does what Python and the C library do, except that what was there before the fork is left
to the kernel: taking a framework apart takes longer than many a run."""

import array
import atexit
import ctypes
import gc
import importlib
import io
import os
import signal
import socket
import sys
import threading
import warnings

SOCKET, RUN, FDS = 3, 19, 4
PR_SET_DUMPABLE = 4
SHOWN = "<sextant>"  # the file name of this code in tracebacks, which runs do not show
MAX_SEED_BYTES = 64 << 20


def dumpable(flag):
    """Whether processes of the same user may trace this one."""
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, flag, 0, 0, 0)


def leave_at_once_what_is_older():
    """What was registered for the process's end before now is left to the kernel: the C library calls
    the youngest first, and so these two after all that comes later."""
    library = ctypes.CDLL(None)
    try:
        on_exit, older, flush = library.on_exit, getattr(library, "__cxa_atexit"), library.fflush
    except AttributeError:
        return  # another C library
    on_exit.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    older.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    on_exit(ctypes.cast(library._exit, ctypes.c_void_p), None)
    older(ctypes.cast(flush, ctypes.c_void_p), None, None)


def opened_devices():
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.startswith(("/dev/nvidia", "/dev/kfd", "/dev/dri")):
            yield target


def receive(channel):
    """The descriptors of the next run."""
    fds = array.array("i")
    data, parts, _, _ = channel.recvmsg(65536, socket.CMSG_LEN(FDS * fds.itemsize))
    if not data:
        os._exit(0)
    for level, kind, content in parts:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[:len(content) - len(content) % fds.itemsize])
    return fds.tolist()


def cache_directory():
    """Where this run's Triton is to keep what it compiles; None where the run asks for more than the
    kernels themselves: then what matters happens while they are compiled. Asked before the run changes
    its environment."""
    special = [name for name in os.environ if name.startswith("TRITON_")]
    if "triton" not in sys.modules or any(name not in ("TRITON_CACHE_DIR", "TRITON_HOME") for name in special):
        return None
    home = os.environ.get("TRITON_HOME", os.path.expanduser("~"))
    return os.environ.get("TRITON_CACHE_DIR", os.path.join(home, ".triton", "cache"))


def save_seed(channel, directory):
    """Sends the cache to the zygote: its directory's name, then for each file name, size and bytes."""
    if directory is None or not os.path.isdir(directory):
        return
    memory = os.memfd_create("triton-cache")
    total = 0
    with open(memory, "wb", closefd=False) as seed:
        seed.write(os.fsencode(directory) + b"\0")
        for place, _, names in os.walk(directory):
            for name in names:
                path = os.path.join(place, name)
                if name.endswith(".lock") or os.path.islink(path) or not os.path.isfile(path):
                    continue
                with open(path, "rb") as file:
                    content = file.read()
                total += len(content)
                if total > MAX_SEED_BYTES:
                    return
                seed.write(os.fsencode(os.path.relpath(path, directory)) + b"\0%d\0" % len(content) + content)
    channel.sendmsg([b"s"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [memory]))])


def plant(seed, directory):
    """Writes what the run before sent into this run's cache, if that has the same name: what lies there
    may name its place."""
    if seed is None or directory is None or os.path.exists(directory):
        return
    with open(seed, "rb", closefd=False) as file:
        file.seek(0)
        content = file.read(MAX_SEED_BYTES + (16 << 20))
    end = content.find(b"\0")
    if end < 0 or content[:end] != os.fsencode(directory):
        return
    at = end + 1
    while at < len(content):
        name, size, rest = content[at:at + 8192].split(b"\0", 2)
        at += len(name) + len(size) + 2
        path = os.path.normpath(os.path.join(directory, os.fsdecode(name)))
        if not path.startswith(directory + "/"):
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content[at:at + int(size)])
        if path.endswith(".so"):
            os.chmod(path, 0o755)
        at += int(size)


def fork():
    with warnings.catch_warnings():  # of the threads a framework has: they are asleep, and not forked
        warnings.simplefilter("ignore")
        return os.fork()


def become(channel, fds, seed):
    """In the forked process: the run's own surroundings. Returns what to run, and where Triton's cache is."""
    channel.send(b"started")
    while os.getppid() != 1:  # until the process between has ended: the first one watches over us
        os.sched_yield()
    channel.close()
    try:
        os.setpgid(0, 1)  # where a program that init starts is
    except OSError:
        os.setpgid(0, 0)
    with open(fds[3], "rb", closefd=True) as file:
        file.seek(0)
        count, *words = file.read().split(b"\0")
    for number in range(3):
        os.dup2(fds[number], number)
        os.close(fds[number])
    arguments = [os.fsdecode(word) for word in words[:int(count)]]
    os.environ.clear()
    for word in words[int(count):-1]:
        name, _, value = word.partition(b"=")
        os.environb[name] = value
    os.chdir("/work")
    os.environ["PWD"] = "/work"
    dumpable(1)
    leave_at_once_what_is_older()
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("600")  # before the zygote, when memory runs out
    except OSError:
        pass
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()  # as a process of its own would
    directory = cache_directory()
    try:
        plant(seed, directory)
    except (OSError, ValueError):
        pass  # then Triton compiles
    if seed is not None:
        os.close(seed)
    return arguments, directory


def serve(modules):
    channel = socket.socket(fileno=SOCKET)
    channel.set_inheritable(False)
    os.setpgid(0, 0)  # a run that signals its group does not mean us
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception:
            sys.modules.pop(name, None)
    prepare_triton()
    devices = sorted(set(opened_devices()))
    if devices:
        channel.send(f"unable importing {', '.join(modules)} opened {devices[0]}".encode()[:500])
        os._exit(0)
    gc.collect()
    gc.freeze()  # the collector of a run does not write to what all share
    dumpable(0)
    channel.send(b"ready")
    seed = seeds = None
    while True:
        fds = receive(channel)
        if len(fds) != FDS:
            os._exit(1)
        seed = newest(seeds, seed)
        seeds, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        between = fork()
        if between == 0:
            if fork() != 0:
                os._exit(0)
            seeds.close()
            return *become(channel, fds, seed), theirs
        os.waitpid(between, 0)
        theirs.close()
        for fd in fds:
            os.close(fd)


def prepare_triton():
    """What Triton works out once a process from nothing but its own files."""
    cache = sys.modules.get("triton.runtime.cache")
    try:
        cache.triton_key()  # a digest over its libraries
    except Exception:  # another version has it elsewhere
        pass


def newest(seeds, seed):
    """What the run before sent, else what the zygote has. The run is gone: nothing more comes."""
    if seeds is None:
        return seed
    fds = array.array("i")
    try:
        _, parts, _, _ = seeds.recvmsg(1, socket.CMSG_LEN(fds.itemsize), socket.MSG_DONTWAIT)
    except OSError:
        parts = []
    seeds.close()
    for level, kind, content in parts:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[:len(content) - len(content) % fds.itemsize])
    for fd in fds:
        if seed is not None:
            os.close(seed)
        seed = fd
    return seed


def run(arguments):
    """What Python does with these arguments."""
    sys.argv = list(arguments)
    first = arguments[0]
    if first == "-m":
        import runpy
        sys.argv = arguments[1:]
        sys.path[0] = os.getcwd()
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return
    main = type(sys)("__main__")
    if first == "-c":
        sys.argv = ["-c"] + arguments[2:]
        sys.path[0] = ""
        code = compile(arguments[1], "<string>", "exec")
    else:
        sys.path[0] = os.path.dirname(os.path.realpath(first))
        try:
            with open(first, "rb") as file:
                code = compile(file.read(), os.path.abspath(first), "exec")
        except OSError as error:
            sys.stderr.write(f"{sys.executable}: can't open file '{os.path.join(os.getcwd(), first)}': "
                             f"[Errno {error.errno}] {error.strerror}\n")
            sys.exit(2)
        main.__file__ = os.path.abspath(first)
    main.__builtins__ = __builtins__
    sys.modules["__main__"] = main
    exec(code, main.__dict__)


def shown(traceback):
    """Without the frames of this file."""
    while traceback is not None and traceback.tb_frame.f_code.co_filename == SHOWN:
        traceback = traceback.tb_next
    return traceback


def code_of(exit):
    """The exit code of a SystemExit, as Python takes it."""
    if exit.code is None:
        return 0
    if isinstance(exit.code, int):
        return exit.code & 0xFF
    print(exit.code, file=sys.stderr)
    return 1


def finish(code):
    """Ends the process as Python would, without taking apart what was imported before the fork."""
    threading._shutdown()
    atexit._run_exitfuncs()
    own = [module for module in list(sys.modules.values())
           if str(getattr(module, "__file__", None)).startswith("/work/")]
    for module in [sys.modules.get("__main__"), *own]:
        if module is not None and module.__dict__ is not globals():
            module.__dict__.clear()
    gc.collect()
    for thing in gc.get_objects():
        if isinstance(thing, (io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper)) and not thing.closed:
            try:
                thing.flush()
            except (OSError, ValueError):
                pass
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except Exception:
            code = 120  # as Python has it
    # With the interpreter's lock, so that no other thread runs Python meanwhile.
    ctypes.PyDLL(None).exit(code)


def main():
    arguments, cache, seeds = serve(sys.argv[1:])
    if cache is None:
        seeds.close()
    if hasattr(sys, "orig_argv"):
        sys.orig_argv = sys.orig_argv[:sys.orig_argv.index("-c")] + arguments
    parent, code = os.getpid(), 0
    try:
        run(arguments)
    except SystemExit as exit:
        code = code_of(exit)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException as error:
        error.__traceback__ = shown(error.__traceback__)
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    if os.getpid() == parent:  # else a process that the run forked came back here
        try:
            save_seed(seeds, cache)
        except Exception:
            pass
    finish(code)


main()
