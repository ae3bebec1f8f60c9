import Messages

/// A host of which a worker gave a wrong result.
public struct QuarantinedHost: Hashable, Codable, Sendable {
  public var host: String
  /// The worker's name.
  public var worker: String
  /// What was wrong: slices of this step.
  public var step: Int
  public var firstSlice: Int
  public var slices: Int
  /// Steps that may be wrong, first and last, if the run went on with them.
  @OrNull public var suspectSteps: [Int]?

  public init(host: String, worker: String, step: Int, firstSlice: Int, slices: Int, suspectSteps: [Int]? = nil) {
    self.host = host
    self.worker = worker
    self.step = step
    self.firstSlice = firstSlice
    self.slices = slices
    self.suspectSteps = suspectSteps
  }

  /// What its workers are told.
  var refusal: Refusal {
    Refusal(
      reason: .quarantined,
      text:
        "Host '\(host)' is in quarantine: '\(worker)' computed step \(step) from slice \(firstSlice) on wrongly. Test "
        + "its memory and processor, and compare its libraries (massl --version) with another host's. To let it in again take its entry out of quarantine.json in the run directory "
        + "while no coordinator runs.")
  }
}
