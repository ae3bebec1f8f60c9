/// Why something of a run cannot be shown or recorded. No step depends on it: callers say so and go on.
public enum TelemetryError: Error, Equatable {
  case cannotOpen(file: String, reason: String)
  case cannotRead(file: String, reason: String)
  case cannotWrite(file: String, reason: String)
}

extension TelemetryError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .cannotOpen(let file, let reason): "Cannot open \(file): \(reason)."
    case .cannotRead(let file, let reason): "Cannot read \(file): \(reason)."
    case .cannotWrite(let file, let reason): "Cannot write to \(file): \(reason)."
    }
  }
}
