import Coordination
import Foundation
import Printing

/// Something about a run that people want to be told of.
public struct RunEvent: Sendable, Equatable {
  public enum Kind: String, Sendable, CaseIterable {
    /// All steps are done.
    case finished
    /// It ended by an error, or its process was killed.
    case failed
    /// It ended before its last step, without an error.
    case stopped
    // What lasts: told when it begins, and when it is over.
    case collapsing
    case stalled
    case noWorkers = "no_workers"
    case rowsLost = "rows_lost"
    case coordinatorSilent = "coordinator_silent"
    case diskNearlyFull = "disk_nearly_full"
    /// A host was found to compute wrongly.
    case hostQuarantined = "host_quarantined"
  }

  public var kind: Kind
  /// Of what lasts: whether it is over.
  public var isOver: Bool
  /// A sentence or a few, on one line.
  public var message: String
  /// Steps done, and steps at the run's end; nil before they are known.
  public var step: Int?
  public var lastStep: Int?

  public init(_ kind: Kind, isOver: Bool = false, _ message: String, step: Int? = nil, lastStep: Int? = nil) {
    self.kind = kind
    self.isOver = isOver
    self.message = message.printable
    self.step = step
    self.lastStep = lastStep
  }
}

// MARK: - As a command gets it

extension RunEvent {
  private struct Document: Encodable {
    var event: String
    var isOver: Bool
    var message: String
    var run: String
    var host: String
    @OrNull var step: Int?
    @OrNull var lastStep: Int?
    var unixSeconds: Double
  }

  /// One object on one line.
  /// - Parameters:
  ///   - run: the run directory.
  ///   - host: the machine that says so.
  ///   - time: in seconds since 1970.
  public func json(run: String, host: String, at time: Double) -> String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let document = Document(
      event: kind.rawValue, isOver: isOver, message: message, run: run.printable, host: host.printable, step: step,
      lastStep: lastStep, unixSeconds: time)
    return (try? encoder.encode(document)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
  }

  /// The same for shells.
  public func variables(run: String, host: String) -> [String: String] {
    [
      "MASSL_EVENT": kind.rawValue, "MASSL_IS_OVER": isOver ? "1" : "0", "MASSL_MESSAGE": message,
      "MASSL_RUN": run.printable, "MASSL_HOST": host.printable, "MASSL_STEP": step.map(String.init) ?? "",
      "MASSL_LAST_STEP": lastStep.map(String.init) ?? "",
    ]
  }
}
