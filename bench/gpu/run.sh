#!/bin/sh
# Runs the benchmark from the folder that pack.ts has made, on a bare Linux machine: sh run.sh [options of bench/gpu.ts]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
room=${WARMCACHE_ROOM:-$here/unpacked}
mkdir -p "$room/lib"
[ -x "$room/deno" ] || { gzip -dc "$here/deno.gz" > "$room/deno" && chmod +x "$room/deno"; }
[ -d "$room/app" ] || { mkdir "$room/app" && gzip -dc "$here/app.tar.gz" | tar xf - -C "$room/app"; }

# Only the libraries that this machine lacks: its own belong to its driver.
for library in "$here"/lib/*; do
  name=$(basename "$library")
  ldconfig -p 2> /dev/null | grep -q "$name " || cp -f "$library" "$room/lib/$name"
done
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$room/lib"

# Where NVIDIA's driver says that it is there; containers have it in places that the loader does not look at.
said=$(find /usr/share/vulkan/icd.d /etc/vulkan/icd.d -name '*nvidia*.json' 2> /dev/null | head -n 1)
if [ -z "${VK_DRIVER_FILES:-}" ] && [ -z "$said" ] && [ -e /dev/nvidiactl ]; then
  VK_DRIVER_FILES=$(find /usr/local/nvidia /usr/local/share/vulkan -name 'nvidia_icd*.json' 2> /dev/null | head -n 1)
  if [ -z "$VK_DRIVER_FILES" ]; then
    VK_DRIVER_FILES=$room/nvidia_icd.json
    printf '{"file_format_version":"1.0.1","ICD":{"library_path":"libGLX_nvidia.so.0","api_version":"1.3.0"}}\n' \
      > "$VK_DRIVER_FILES"
  fi
  export VK_DRIVER_FILES
fi

export DENO_DIR="$room/deno_dir" DENO_NO_UPDATE_CHECK=1 PATH="$room:$PATH"
cd "$room/app"
exec "$room/deno" run -A --cached-only bench/gpu.ts "$@"
