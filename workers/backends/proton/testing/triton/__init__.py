"""Stands in for Triton where there is no GPU: kernels that leave a canned buffer. Only what
proton_launch.py touches is here, in the places where Triton has it."""

from .runtime.jit import JITFunction


def jit(name, scopes, levels={}):
    """`levels`: texts that the compiler leaves beside the metadata, by their ending."""
    return JITFunction(name, scopes, levels)
