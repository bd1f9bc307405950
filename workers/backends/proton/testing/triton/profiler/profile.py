from ..runtime.jit import HOOKS
from . import mode as modes
from .hooks.instrumentation import InstrumentationHook


def start(name=None, *, data="tree", backend=None, mode=None, context="shadow", hook=None):
    if backend == "instrumentation":
        if HOOKS:
            raise RuntimeError("Only one instance of the instrumentation hook can be active at a time.")
        HOOKS.append(InstrumentationHook(mode or modes.Default()))
    return 0


def finalize(session=None, output_format=""):
    HOOKS.clear()


def profile(function):
    return function
