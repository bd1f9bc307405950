#!/usr/bin/env bash
# The Python packages that tests read exports back with, in an environment of their own: .cache/python.
# Does nothing when they are there. Prints the interpreter to use.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
home=.cache/python
wanted=tests/requirements.txt
if ! cmp -s "$wanted" "$home/requirements.txt"; then
  python3 -m venv --clear "$home" >&2
  "$home/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" >&2
  cp "$wanted" "$home/requirements.txt"
fi
echo "$PWD/$home/bin/python"
