import Foundation
import Glibc

/// A folder of event files that one process adds to: a file for each time that it begins anew.
///
/// Each of our files says first from which step on it counts: what older ones say of that step and later ones is no
/// longer so. Files of others in the folder are left alone.
public final class EventFolder: Sendable {
  private static let beginning = "events.out.tfevents."
  private static let ending = ".massl"
  private static let lockFile = "massl.lock"

  public let path: String
  private let lock: CInt

  /// Makes the folder if it is not there, in one that is, and keeps others from adding to it.
  /// - Throws: `EventFileError.cannotMake`, `.inUse`.
  public init(_ path: String) throws(EventFileError) {
    self.path = path
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
      throw .cannotMake(path, reason: lastSystemError())
    }
    lock = open("\(path)/\(Self.lockFile)", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard lock >= 0 else { throw .cannotMake(path, reason: lastSystemError()) }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else { throw .inUse(path) }
  }

  /// Also where the folder is in use.
  deinit { close(lock) }

  /// Our files, in the order in which readers take them.
  var files: [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return names.filter { Self.time(of: $0) != nil }.sorted().map { "\(path)/\($0)" }
  }

  /// When a file of ours was begun, in seconds since 1970, by its name.
  private static func time(of name: String) -> Int? {
    guard name.hasPrefix(beginning), name.hasSuffix(ending) else { return nil }
    return Int(name.dropFirst(beginning.count).dropLast(ending.count))
  }

  /// Begins a file that comes after all that are there, whatever the clock says.
  /// - Parameters:
  ///   - step: from here on it counts.
  ///   - wallTime: now, in seconds since 1970.
  /// - Throws: `EventFileError.cannotWrite`; then no file is left.
  public func begin(at step: Int, wallTime: Double) throws(EventFileError) -> EventFile {
    let newest = files.last.flatMap { Self.time(of: String($0.dropFirst(path.count + 1))) } ?? 0
    let time = max(Int(wallTime), newest + 1)
    let digits = "\(time)"
    let name = Self.beginning + String(repeating: "0", count: max(0, 10 - digits.count)) + digits + Self.ending
    let file = try EventFile(path: "\(path)/\(name)")
    do throws(EventFileError) {
      try file.append(
        StepEvent.versionRecord(wallTime: wallTime) + StepEvent(wallTime: wallTime, step: step, .start).record())
    } catch {
      unlink(file.path)
      throw error
    }
    return file
  }
}

/// An event file of ours that is added to, whole records at a time.
public final class EventFile: Sendable {
  public let path: String
  private let descriptor: CInt

  init(path: String) throws(EventFileError) {
    self.path = path
    descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .cannotWrite(path, reason: lastSystemError()) }
  }

  deinit { close(descriptor) }

  /// Adds records, or none of them: what a full disk took of them goes again, so that readers find none that is torn.
  /// - Throws: `EventFileError.cannotWrite`.
  public func append(_ records: [UInt8]) throws(EventFileError) {
    let size = lseek(descriptor, 0, SEEK_END)
    var written = 0
    while written < records.count {
      let count = records.withUnsafeBytes { write(descriptor, $0.baseAddress! + written, $0.count - written) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        let reason = lastSystemError()
        ftruncate(descriptor, size)
        throw .cannotWrite(path, reason: reason)
      }
      written += count
    }
  }
}

/// What the last failed call of the system says about itself.
private func lastSystemError() -> String { String(cString: strerror(errno)) }
