# What the batch scripts beside this share. bash reads it inside a job.

# Without a job, say when tried by hand, there is nothing to tell Slurm.
[ -n "${SLURM_JOB_ID:-}" ] || { echo "This is a batch script: start it with sbatch." >&2; exit 64; }
. "${MASSL_JOBS:-$SLURM_SUBMIT_DIR}/run.conf" || {
  echo "Submit it in the folder that has run.conf and job.sh, or name that folder in MASSL_JOBS." >&2
  exit 64
}

# Whoever sees these may compute for the run: one key pair for all its processes.
shared=${shared:-$run}
key=$shared.key
allowed=$shared.allowed
# Is there once the run is done, so that workers which come later do not wait for it.
done=$shared.done

# Where other nodes reach this one: as Slurm does, or by its name while the controller does not answer.
own_address() {
  local address
  address=$(node_address "$SLURMD_NODENAME" 2>/dev/null)
  echo "${address:-$(hostname)}"
}

node_address() { scontrol show node "$1" | sed -n 's/.*NodeAddr=\([^ ]*\).*/\1/p'; }

public_key() { awk '$1 == "public" { print $2 }' "$key"; }

# Under another name until it is whole: other jobs look for it. Two coordinators that start at once agree on one.
make_key() {
  [ ! -e "$allowed" ] || return 0
  mkdir -p "$(dirname "$run")" "$(dirname "$shared")"
  rm -f "$key.$SLURM_JOB_ID"
  "$massl" keygen --out "$key.$SLURM_JOB_ID" >/dev/null
  ln "$key.$SLURM_JOB_ID" "$key" 2>/dev/null || true
  rm "$key.$SLURM_JOB_ID"
  public_key >"$allowed.$SLURM_JOB_ID"
  mv "$allowed.$SLURM_JOB_ID" "$allowed"
}

# Returns once there is a key to join the run with, or ends the job if the run is done.
await_key() {
  until [ -e "$allowed" ]; do
    [ ! -e "$done" ] || exit 0
    sleep 2
  done
}

# find_by_scontrol FILE: keeps the address of the job named massl-coordinator in it, as Slurm knows it.
find_by_scontrol() {
  local job host
  # No longer than the job: Slurm may leave to themselves what its script started.
  while sleep 5 && kill -0 "$$" 2>/dev/null; do
    job=$(squeue --noheader --me --name massl-coordinator --states RUNNING --format %i | head -1)
    host=$([ -z "$job" ] || scontrol show job "$job" | sed -n 's/.*BatchHost=\([^ ]*\).*/\1/p')
    [ -n "$host" ] || continue
    echo "tcp://$(node_address "$host"):$port" >"$1.part"
    mv "$1.part" "$1"
  done
}

# For worker and shard: where they look for their coordinator, and who they are.
joining() {
  joins=(--coordinator "$run/coordinator.address" --key "$key" --coordinator-key "$(public_key)" --allowed-keys "$allowed")
  [ "$port" = 0 ] || {
    local file=${TMPDIR:-/tmp}/massl-$SLURM_JOB_ID.address
    find_by_scontrol "$file" &
    joins+=(--coordinator "$file")
  }
}

# end_when_done PROCESS: for one that would wait for a coordinator which does not come again.
end_when_done() {
  while sleep 5 && kill -0 "$1" 2>/dev/null; do
    [ ! -e "$done" ] || kill -TERM "$1"
  done
}

# note_done: says so to the other jobs, once the run's last step is durable.
note_done() {
  "$massl" status --run "$run" | grep -Eq 'step ([0-9]+)/\1 ' && touch "$done"
}

# After a signal. Slurm queues by itself a job that it preempts, and says so by the job's state. At the warning before
# the time limit the job still runs, and one that ends with 0 would not come again. One that was cancelled shall not.
come_again() {
  if [ "$(squeue --noheader --jobs "$SLURM_JOB_ID" --format %T)" = RUNNING ]; then
    echo "Queued again: the time is up, the run is not done." >&2
    scontrol requeue "$SLURM_JOB_ID"
  fi
  exit 0
}

# What Slurm and schedulers send as a warning. Before there is a process to tell, the job has nothing to lose.
child=
told=
trap 'told=yes; [ -n "$child" ] && kill -TERM "$child" 2>/dev/null || come_again' TERM INT HUP USR1 USR2

# supervise COMMAND...: runs it, and again when it was killed or says "try again", until it is done or a signal came;
# then ends the job, in a way that has Slurm queue it again if there is more to do.
supervise() {
  local code begun early=0
  while :; do
    begun=$SECONDS
    "$@" &
    child=$!
    [ -z "${joins+set}" ] || end_when_done "$child" &
    # A signal ends the wait, not the child.
    while kill -0 "$child" 2>/dev/null; do wait "$child" || true; done
    wait "$child" && code=0 || code=$?
    child=
    [ -z "$told" ] || come_again
    case $code in
    0) return 0 ;;
    64 | 65)
      echo "It ended with $code, and would again: the job ends." >&2
      return "$code"
      ;;
    # Another coordinator has the run: one whose node Slurm gave up may still be ending.
    75) early=0 ;;
    *) early=$((SECONDS - begun < 60 ? early + 1 : 0)) ;;
    esac
    if [ "$early" -gt 5 ]; then
      echo "It ended with $code, $early times within a minute of its start: the job ends." >&2
      return "$code"
    fi
    echo "It ended with $code; it is started again." >&2
    sleep 5
  done
}
