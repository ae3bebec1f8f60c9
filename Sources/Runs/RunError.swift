import Machine
import WeightFiles

/// Why a run cannot start, go on, fork or be replayed, beyond what the modules below have to say.
public enum RunError: Error, Equatable, CustomStringConvertible {
  /// The run has done more steps than it is now to have.
  case pastTheEnd(run: String, step: Int, lastStep: Int)
  /// The loss went out of bounds: the weights of this step cannot be made.
  case notFinite(step: Int)
  /// More memory than there is, or than may be used.
  case tooLarge(who: String, need: MemoryNeed, memory: Allowance.Share)
  /// A fork with a network or an optimizer that the checkpoint's tensors do not fit.
  case otherShapes(run: String, keys: [String])
  /// A fork with the backbone of a file that is of another network.
  case otherBackbone(run: String, file: String, keys: [KeyOfFile])
  /// A step cannot be computed again without the weights before it.
  case noCheckpointBefore(run: String, step: Int, present: [Int])
  case noSuchStep(run: String, step: Int, lastStep: Int)
  case noSuchSlice(slice: Int, slices: Int)
  /// A run that begins with a file's weights, and has no checkpoint yet.
  case needsInitialWeights(run: String, file: String)
  /// A run began with other weights than those given. Nil: with drawn ones.
  case otherInitialWeights(run: String, file: String, begun: String?)

  public var description: String {
    switch self {
    case .pastTheEnd(let run, let step, let lastStep):
      "\(run) has done \(step) steps, and is to have \(lastStep) in all. Give it more (--max-steps, --change epochs=N), or "
        + "fork it from an earlier step."
    case .notFinite(let step):
      "The gradient of step \(step) is not finite, though every slice's is: its weights cannot be made. The last good "
        + "checkpoint is of step \(step). Resuming will meet it again: massl replay --step \(step) shows the slices' "
        + "gradients, and massl fork goes on from a checkpoint with other settings."
    case .tooLarge(let who, let need, let memory):
      "\(who) needs at least \(Bytes(need.bytes)) of memory: "
        + need.shares.sorted { $0.bytes > $1.bytes }.prefix(2).map { "\(Bytes($0.bytes)) for \($0.content)" }
        .joined(separator: ", ")
        + ". \(memory.words) Make these smaller, or use a machine with more."
    case .otherShapes(let run, let keys):
      "The weights of \(run) are carried over, so what shapes them must stay: take back the change of "
        + "\(keys.joined(separator: ", "))."
    case .otherBackbone(let run, let file, let keys):
      "\(file) is of another network than \(run): \(keys.map(\.words).joined(separator: "; ")). A fork keeps its run's shape: "
        + "begin a new run with that file (massl train --init)."
    case .noCheckpointBefore(let run, let step, []):
      "\(run) has no checkpoint of step \(step) or before it: it has none at all."
    case .noCheckpointBefore(let run, let step, let present):
      "\(run) has no checkpoint of step \(step) or before it: it has those of steps "
        + "\(present.map(String.init).joined(separator: ", ")). Give one of these steps, or a later one."
    case .noSuchStep(let run, let step, let lastStep):
      "\(run) has no step \(step): its last is \(lastStep - 1). Steps count from 0."
    case .noSuchSlice(let slice, let slices):
      "There is no slice \(slice): a step of this run has \(slices). Slices count from 0."
    case .needsInitialWeights(let run, let file):
      "\(run) begins with the weights of \(file), and has no checkpoint yet: give them again (--init \(file))."
    case .otherInitialWeights(let run, let file, let begun):
      "\(run) began with \(begun.map { "the weights of \($0)" } ?? "drawn weights"), not with those of \(file). Leave out "
        + "--init to go on with it, or give another --run."
    }
  }
}

extension Allowance.Share {
  /// What there is of memory.
  public var words: String {
    bound.map { "It may use \(Bytes(usable)), by \($0)." } ?? "This machine has \(Bytes(machine))."
  }
}
