from importlib import metadata

try:
    VERSION = metadata.version("sextant-profiler")
except metadata.PackageNotFoundError:  # used from the tree without being installed
    VERSION = "0"
