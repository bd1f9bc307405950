"""Stands in for Triton where there is no GPU: kernels that leave a canned buffer. Only what
proton_launch.py touches is here, in the places where Triton has it."""

from .runtime.jit import JITFunction


def jit(name, scopes):
    return JITFunction(name, scopes)
