import Durability
import Foundation
import Launching
import Processes
import Services
import Telemetry
import Wire

/// A folder of a process that is kept running on this machine.
///
///     service.json     what is to run
///     key allowed.txt  who it is, and who may connect
///     recipe.yaml      of a coordinator
///     wanted           is there while it is to run, across reboots
///     supervisor.lock  locked by the process that starts it again
///     state.json       what that process knows of it
///     service.log      what both say
///     massl            the program, a symbolic link
struct ServiceFolder {
  /// From the root on.
  let path: String
  private let storage = FileStorage()

  private static let bytesAtMost = 1 << 20

  /// - Parameter path: from the working directory on, or from the root.
  init(_ path: String) { self.path = URL(fileURLWithPath: path).standardizedFileURL.path }

  var logPath: String { "\(path)/service.log" }
  var lockPath: String { "\(path)/supervisor.lock" }
  private var descriptionPath: String { "\(path)/service.json" }
  private var statePath: String { "\(path)/state.json" }
  private var wantedPath: String { "\(path)/wanted" }
  private var keyPath: String { "\(path)/key" }
  private var allowedPath: String { "\(path)/allowed.txt" }

  /// What the supervisor knows.
  struct State: Codable, Equatable {
    var process: Int?
    var starts: Int
    var lastEnd: String?
    var exitCode: Int?
    /// With which it was started.
    var service: ServiceDescription
  }

  // MARK: - Reading

  /// - Throws: `DurabilityError`; `RunFailure.permanent` for a file that is none of massl's.
  func description() throws -> ServiceDescription {
    let bytes = try storage.readWhole(descriptionPath, limit: Self.bytesAtMost)
    guard let service = try? JSONDecoder().decode(ServiceDescription.self, from: Data(bytes)) else {
      throw RunFailure.permanent(
        "\(descriptionPath) is damaged, or another version's. massl launch start writes it anew.")
    }
    return service
  }

  var state: State? {
    storage.glance(at: statePath).flatMap { try? JSONDecoder().decode(State.self, from: Data($0)) }
  }

  var isWanted: Bool { (try? storage.exists(wantedPath)) == true }

  /// The process that looks after the service; nil if there is none.
  func supervisor() throws -> RunningProcess? {
    guard let lock = try storage.lockState(of: lockPath), lock.isHeld, let holder = lock.holder else { return nil }
    return RunningProcess(pid_t(truncatingIfNeeded: holder.process))
  }

  /// Its key pair, made if it is not there, and what is known of others'.
  /// - Throws: `WireError.badKeyFile` where others may read it; `DurabilityError`.
  func key() throws -> HostKey {
    try storage.makeDirectory(path)
    guard chmod(path, 0o700) == 0 else {
      throw DurabilityError.failed(operation: .makeDirectory, path: path, number: errno)
    }
    if try !storage.exists(keyPath) { try KeyPair.generate().write(to: keyPath) }
    let allowed = storage.glance(at: allowedPath).map { String(decoding: $0, as: UTF8.self) } ?? ""
    return HostKey(publicKey: "\(try KeyPair(contentsOf: keyPath).publicKey)", allowedKeys: allowed)
  }

  // MARK: - Writing

  func write(_ order: ServiceOrder) throws {
    try write(allowedKeys: order.allowedKeys)
    if let recipe = order.recipe { try storage.writeAtomically(recipe.utf8, to: "\(path)/recipe.yaml") }
    try storage.writeAtomically(JSONEncoder.ofService.encode(order.service), to: descriptionPath)
    let link = "\(path)/massl"
    unlink("\(link).new")
    guard symlink(order.service.program, "\(link).new") == 0, rename("\(link).new", link) == 0 else {
      throw DurabilityError.failed(operation: .rename, path: link, number: errno)
    }
  }

  /// Read again by whoever runs.
  func write(allowedKeys text: String) throws { try storage.writeAtomically(text.utf8, to: allowedPath) }

  func write(_ state: State) throws { try storage.writeAtomically(JSONEncoder.ofService.encode(state), to: statePath) }

  /// Before a start: what the supervisor before knew counts no more.
  func forgetState() throws { try storage.remove(statePath) }

  func setWanted(_ isWanted: Bool) throws {
    if isWanted { try storage.writeAtomically([], to: wantedPath) } else { try storage.remove(wantedPath) }
  }

  /// Of this service, until released.
  func lock() throws -> any StorageLock { try storage.lock(lockPath) }
}

extension JSONEncoder {
  /// The same values give the same bytes.
  static var ofService: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return encoder
  }
}
