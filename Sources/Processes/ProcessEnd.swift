/// How a process ended.
public enum ProcessEnd: Equatable, Sendable, CustomStringConvertible {
  case code(Int32)
  case signal(Int32)

  public var description: String {
    switch self {
    case .code(let code): "exit code \(code)"
    case .signal(let number): "signal \(number)"
    }
  }
}
