"""Message classes from the descriptor set that the build made (setup.py).

Classes are made at import from descriptors, so that they fit whatever version of protobuf is installed.
They live in a pool of their own: another copy of the same messages in the process is no conflict."""

from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal import enum_type_wrapper

POOL = descriptor_pool.DescriptorPool()


def _load() -> None:
    files = descriptor_pb2.FileDescriptorSet()
    files.ParseFromString(resources.files("sextant").joinpath("messages.bin").read_bytes())
    for file in files.file:  # protoc wrote them in the order of their imports
        POOL.Add(file)


_load()


def publish(proto: str, names: dict[str, Any]) -> None:
    """Puts the message classes and enumerations of a .proto file into a module's names."""
    file = POOL.FindFileByName(proto)
    names["DESCRIPTOR"] = file
    for name, message in file.message_types_by_name.items():
        cls = message_factory.GetMessageClass(message)
        cls.__module__ = names["__name__"]
        names[name] = cls
    for name, enum in file.enum_types_by_name.items():
        names[name] = enum_type_wrapper.EnumTypeWrapper(enum)
        for value in enum.values:
            names[value.name] = value.number
