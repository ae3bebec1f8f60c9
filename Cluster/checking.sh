# What the checks beside this share. Each begins with:  . "$(dirname "$0")/../checking.sh"
#
# They need root, Debian's packages, and what 'make build' made. They say what they see, and end with 1 at the first
# thing that is not as it should be.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# MASSL, PACKAGE, TARBALL: others than what is built here.
massl=${MASSL:-$PWD/.build/release/massl}
# Kept from one check to the next.
cluster=$PWD/.build/cluster
# Of this check alone; removed at its end.
work=$(mktemp -d "${TMPDIR:-/tmp}/massl-check-XXXXXX")
started=$SECONDS

say() { printf '%4d s  %s\n' $((SECONDS - started)) "$*"; }

fail() {
  say "FAILED: $*" >&2
  exit 1
}

# Functions and commands that run at the end, the last one first.
at_exit=()
leave() {
  local code=$? index
  set +e
  for ((index = ${#at_exit[@]} - 1; index >= 0; index--)); do eval "${at_exit[index]}"; done
  exit "$code"
}
trap leave EXIT
# KEEP=1 leaves it.
[ -n "${KEEP:-}" ] || at_exit+=('rm -rf "$work"')

# eventually SECONDS WHAT COMMAND...: tries the command until it succeeds.
eventually() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || fail "$what: not within its time"
    sleep 0.2
  done
}

# install_packages NAME...: those of Debian that are lacking.
install_packages() {
  local name missing=()
  for name; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return
  say "installs ${missing[*]}"
  apt-get update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >"$work/apt.log" 2>&1 ||
    { tail -5 "$work/apt.log"; fail "apt-get install ${missing[*]}"; }
}

# in_root FOLDER USER COMMAND...: runs it there, with /proc and /dev, in a mount namespace that ends with it.
in_root() {
  local folder=$1 user=$2
  shift 2
  unshare --mount sh -ec 'mount -t proc proc "$0/proc"; mount --rbind /dev "$0/dev"; root=$0; user=$1; shift
    exec chroot "$root" setpriv --reuid="$user" --regid="$user" --clear-groups env HOME=/tmp "$@"' "$folder" "$user" "$@"
}

# install_in FOLDER PACKAGE...: there, names or files; what apt says is in $work/install.
install_in() {
  local folder=$1
  shift
  in_root "$folder" 0 env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" \
    >"$work/install" 2>&1 || { tail -5 "$work/install"; fail "apt-get install $* in $folder"; }
}

# made TARGET: what make made, by the last line that it prints.
made() {
  make --silent "$1" >"$work/make" 2>&1 || { tail -5 "$work/make"; fail "make $1"; }
  tail -1 "$work/make"
}

# A run so small that a step takes some 30 ms on two cores.
recipe=(--arch custom --embed-dim 32 --depth 2 --num-heads 2 --patch-size 8 --image-size 32 --local-size 16
  --local-crops-number 2 --batch-size 16 --slice-size 2 --memory-size 256 --block-size 64 --bottleneck-dim 32
  --extent-rows 64 --head-hidden-dim 256 --epochs 100000)
# Long enough to be disturbed some times; 200 where it only has to end.
steps=600

# pictures FOLDER: makes 64 of them.
pictures() { "$massl" synthesize --out "$1" --images 64 --size 32 >/dev/null; }

# digests RUN [PROGRAM]: step, and digests of student, teacher and memory, of its newest checkpoint.
digests() {
  "${2:-$massl}" status --run "$1" --json |
    sed -E 's/.*"digests":\{([^}]*)\}.*"last_step":([0-9]+).*"step":([0-9]+).*/step \3\/\2 \1/; s/[{}"]//g'
}

# calm_digests PICTURES: what a run of so many steps ends with to which nothing happens; computed once for all checks.
calm_digests() {
  local kept=$cluster/calm-$steps.digests
  if ! [ "$kept" -nt "$massl" ]; then
    "$massl" train --data "$1" --run "$work/calm-$steps" "${recipe[@]}" --max-steps "$steps" 2>"$work/calm.log" ||
      { tail -3 "$work/calm.log"; fail "the run to which nothing happens"; }
    mkdir -p "$cluster"
    digests "$work/calm-$steps" >"$kept"
  fi
  cat "$kept"
}
