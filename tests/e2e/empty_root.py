"""A root file system with a C library and a shell, and nothing else; and commands run in it.

Entered with pivot_root rather than chroot: in a chroot the kernel refuses the user namespaces that
the sandbox is made of. Works without root too, inside a user namespace of its own."""

import ctypes
import os
import pathlib
import shutil
import signal
import subprocess

CLONE = {"mnt": 0x00020000, "uts": 0x04000000, "ipc": 0x08000000, "user": 0x10000000,
         "pid": 0x20000000, "net": 0x40000000}
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1
SYS_PIVOT_ROOT = 155  # x86-64

C_LIBRARY = ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1",
             "libresolv.so.2", "libutil.so.1"]
DEVICES = ["null", "zero", "full", "random", "urandom", "tty"]

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, doing):
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{doing}: {os.strerror(error)}")
    return result


def _mount(source, target, kind, flags, options=""):
    _check(_libc.mount(os.fsencode(source), os.fsencode(target), os.fsencode(kind),
                       ctypes.c_ulong(flags), os.fsencode(options)), f"mounting {target}")


class EmptyRoot:
    """`directory` becomes the root file system; made here, removed by whoever made its parent."""

    USER = 1000  # "somebody"

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        for folder in ("bin", "dev", "etc", "home/somebody", "lib64", "mnt", "opt", "proc", "root",
                       "sys", "tmp", "usr", "var/lib"):
            (self.dir / folder).mkdir(parents=True)
        (self.dir / "lib").symlink_to("lib64")
        loader = pathlib.Path("/lib64/ld-linux-x86-64.so.2")
        libraries = loader.resolve().parent
        shutil.copy(loader, self.dir / "lib64" / loader.name)
        for name in C_LIBRARY:
            shutil.copy(libraries / name, self.dir / "lib64" / name)
        busybox = shutil.which("busybox")
        if busybox is None:
            raise RuntimeError("busybox is missing; deploy/packages.sh test installs it")
        shutil.copy(busybox, self.dir / "bin/busybox")
        applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
        for applet in applets.stdout.split():
            if applet != "busybox":
                (self.dir / "bin" / applet).symlink_to("busybox")
        (self.dir / "etc/passwd").write_text(
            "root:x:0:0::/root:/bin/sh\n"
            f"somebody:x:{self.USER}:{self.USER}::/home/somebody:/bin/sh\n"
            "nobody:x:65534:65534::/:/bin/false\n")
        (self.dir / "etc/group").write_text(
            f"root:x:0:\nsomebody:x:{self.USER}:\nnogroup:x:65534:\n")
        if os.geteuid() == 0:
            os.chown(self.dir / "home/somebody", self.USER, self.USER)

    def run(self, script, user=USER, timeout=120):
        """Runs a shell script inside; user 0 needs root outside. (exit code, all that was printed)"""
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(write, 1)
            os.dup2(write, 2)
            try:
                _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                self._enter(script, user)
            except BaseException as error:
                os.write(2, f"entering the empty root: {error}\n".encode())
            os._exit(125)
        os.close(write)
        timer = subprocess.Popen(["sh", "-c", f"sleep {timeout}; kill -9 {child}"],
                                 start_new_session=True)
        try:
            with os.fdopen(read, "rb") as output:
                text = output.read().decode(errors="replace")
            _, status = os.waitpid(child, 0)
        finally:
            os.killpg(timer.pid, signal.SIGKILL)
            timer.wait()
        return os.waitstatus_to_exitcode(status), text

    def _enter(self, script, user):
        outside = (os.geteuid(), os.getegid())
        flags = sum(CLONE[n] for n in ("mnt", "uts", "ipc", "pid", "net"))
        if outside[0] != 0:
            flags |= CLONE["user"]
        _check(_libc.unshare(flags), "making namespaces")
        if outside[0] != 0:
            pathlib.Path("/proc/self/setgroups").write_text("deny")
            pathlib.Path("/proc/self/uid_map").write_text(f"{user} {outside[0]} 1")
            pathlib.Path("/proc/self/gid_map").write_text(f"{user} {outside[1]} 1")
        first = os.fork()  # process 1 of the namespace: with it everything in there ends
        if first != 0:
            _, status = os.waitpid(first, 0)
            os._exit(min(os.waitstatus_to_exitcode(status) & 0xFF, 255))
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        root = self.dir
        _mount("none", "/", "", MS_REC | MS_PRIVATE)
        _mount(root, root, "", MS_BIND | MS_REC)
        _mount("proc", root / "proc", "proc", MS_NOSUID | MS_NODEV)
        _mount("/sys", root / "sys", "", MS_BIND | MS_REC)
        _mount("tmpfs", root / "dev", "tmpfs", MS_NOSUID, "mode=0755")
        for device in DEVICES:
            (root / "dev" / device).touch()
            _mount(f"/dev/{device}", root / "dev" / device, "", MS_BIND)
        for place in ("dev/shm", "tmp"):
            (root / place).mkdir(exist_ok=True)
            _mount("tmpfs", root / place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
        (root / "dev/fd").symlink_to("/proc/self/fd")
        os.chdir(root)
        _check(_libc.syscall(SYS_PIVOT_ROOT, b".", b"."), "changing the root")
        _check(_libc.umount2(b".", MNT_DETACH), "leaving the old root")
        os.chdir("/")
        if outside[0] == 0 and user != 0:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        home = "/root" if user == 0 else "/home/somebody"
        os.execve("/bin/sh", ["sh", "-euc", script], {"PATH": "/bin", "HOME": home})
