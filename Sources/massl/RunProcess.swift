import Checkpoints
import Durability
import Glibc
import Printing
import Processes

/// Which process keeps a run going: `massl train`, or a coordinator that was started by itself.
enum RunProcess {
  case here(RunningProcess)
  /// On another machine that sees the run's directory.
  case elsewhere(LockHolder)
  /// The run rests; where it was last, if that is known.
  case nowhere(last: LockHolder?)

  /// Found by the locks in the run's directory, which end with the process that holds them.
  /// - Throws: `CheckpointError.notARun`; `DurabilityError`.
  init(ofRunAt run: String) throws {
    let storage = FileStorage()
    guard try RunDirectory.isRun(run, in: storage) else { throw CheckpointError.notARun(directory: run) }
    var last: LockHolder?
    // Who starts the coordinator again comes first.
    for file in [RunDirectory.supervisorLockFile, RunDirectory.lockFile] {
      let path = "\(run)/\(file)"
      guard let state = try storage.lockState(of: path) else { continue }
      last = last ?? state.holder
      guard state.isHeld else { continue }
      guard let holder = state.holder else { throw DurabilityError.locked(path: path, holder: nil) }
      guard holder.host == LockHolder.current.host else {
        self = .elsewhere(holder)
        return
      }
      // It may end just now, and another get its number: the lock is its own if it is held still.
      if let process = RunningProcess(pid_t(truncatingIfNeeded: holder.process)),
        try storage.lockState(of: path) == state
      {
        self = .here(process)
        return
      }
    }
    self = .nowhere(last: last)
  }
}

// MARK: - Sentences

extension RunProcess {
  /// For who asks for a run that is on another machine.
  static func refusal(_ command: String, run: String, _ holder: LockHolder) -> RunElsewhere {
    RunElsewhere(command: command, run: run, holder: holder)
  }

  /// Where a run that does not run here may be running, if its directory is one that several machines see.
  static func hint(_ last: LockHolder?) -> String {
    guard let last, last.host != LockHolder.current.host else { return "" }
    return " It was last on \(last.host.printable) (process \(last.process)): ask there."
  }
}

/// A run whose process is on another machine.
struct RunElsewhere: Error, CustomStringConvertible {
  let command: String
  let run: String
  let holder: LockHolder

  var description: String {
    "\(run) runs on \(holder.host.printable) (process \(holder.process)), not on this machine. There: massl \(command) "
      + "--run \(run.shellWord)"
  }
}
