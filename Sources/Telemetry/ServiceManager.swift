import Glibc
import Printing
import Synchronization

/// The service manager that started this process and wants to hear of it: systemd, by the protocol of sd_notify(3).
///
///     let manager = ServiceManager(environment: environment) { complaint in ... }    // nil where nobody listens
///     manager?.tell(.ready, .status("step 3/40"))
///     manager?.beat()                                                                // as often as one likes
///
/// From any thread. A word is a datagram to the socket that `NOTIFY_SOCKET` names. One that cannot be delivered is no
/// reason to stop: it is complained of once.
public final class ServiceManager: Sendable {
  public enum Word: Sendable, Equatable {
    /// The process is up. What waits for it may start.
    case ready
    /// It ends in order, which may take a while.
    case stopping
    /// It still moves.
    case alive
    /// How it is doing; what does not show in a line is escaped.
    case status(String)
  }

  /// Beats for each time that the manager allows between two: one may be lost, another late.
  private static let beatsInTime = 4
  /// A manager that does not read holds nobody up for longer, in seconds.
  private static let patience = 1

  /// A path, or a name of the abstract kind, which begins with @.
  private let address: String
  /// Between two beats; nil where none are wanted.
  private let pause: Duration?
  private let complain: @Sendable (String) -> Void
  private let state = Mutex(State())

  private struct State {
    var lastBeat: ContinuousClock.Instant?
    var hasComplained = false
  }

  /// - Parameters:
  ///   - environment: `NOTIFY_SOCKET`, and `WATCHDOG_USEC` and `WATCHDOG_PID` where beats are wanted.
  ///   - process: whose beats are wanted, if they are somebody's alone.
  ///   - complain: takes a sentence, from any thread.
  /// - Returns: nil where no service manager listens.
  public init?(
    environment: [String: String], process: pid_t = getpid(), complain: @escaping @Sendable (String) -> Void
  ) {
    guard let address = environment["NOTIFY_SOCKET"], !address.isEmpty else { return nil }
    self.address = address
    self.complain = complain
    let isMeant = environment["WATCHDOG_PID"].map { $0 == "\(process)" } ?? true
    let microseconds = environment["WATCHDOG_USEC"].flatMap { Int64($0) } ?? 0
    pause = isMeant && microseconds > 0 ? .microseconds(microseconds) / Self.beatsInTime : nil
  }

  public func tell(_ words: Word...) {
    guard let reason = send(words.map(\.line).joined(separator: "\n")) else { return }
    let isFirst = state.withLock { state in
      defer { state.hasComplained = true }
      return !state.hasComplained
    }
    guard isFirst else { return }
    complain("The service manager at NOTIFY_SOCKET=\(address) cannot be told how this process is doing: \(reason).")
  }

  /// Tells that this process still moves, if that is wanted and it is time to.
  public func beat() {
    guard let pause else { return }
    let now = ContinuousClock.now
    let isTime = state.withLock { state in
      if let last = state.lastBeat, now - last < pause { return false }
      state.lastBeat = now
      return true
    }
    if isTime { tell(.alive) }
  }

  /// - Returns: why it was not delivered; nil if it was.
  private func send(_ text: String) -> String? {
    var name = Array(address.utf8)
    if name.first == UInt8(ascii: "@") {
      name[0] = 0
    } else if name.first != UInt8(ascii: "/") {
      return "it is neither a path nor a name that begins with @"
    }
    var place = sockaddr_un()
    place.sun_family = sa_family_t(AF_UNIX)
    let room = MemoryLayout.size(ofValue: place.sun_path)
    guard name.count < room else { return "it has \(name.count) bytes, and an address at most \(room - 1)" }
    withUnsafeMutableBytes(of: &place.sun_path) { $0.copyBytes(from: name) }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count)

    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return lastSystemError() }
    defer { close(descriptor) }
    var patience = timeval(tv_sec: Self.patience, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    let bytes = Array(text.utf8)
    let sent = withUnsafePointer(to: place) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), $0, length)
      }
    }
    return sent == bytes.count ? nil : lastSystemError()
  }
}

extension ServiceManager.Word {
  fileprivate var line: String {
    switch self {
    case .ready: "READY=1"
    case .stopping: "STOPPING=1"
    case .alive: "WATCHDOG=1"
    case .status(let text): "STATUS=\(text.printable)"
    }
  }
}
