import Glibc
import Messages
import Synchronization

/// A file of allowed keys that may change while a coordinator runs: a worker is let in, or shut out, by editing it.
///
///     let file = try AllowedKeysFile("workers.txt")      // file.keys go to the sockets
///     if let change = try file.refresh() { ... }         // now and then
///
/// A new content is taken once two looks in a row find the same file, for editors empty a file before they write it.
public final class AllowedKeysFile: Sendable {
  /// Those in the file as it was last taken.
  public let keys: AllowedKeys
  public let path: String
  /// Let in whatever the file says.
  private let own: PublicKey?
  private let state: Mutex<State>

  private struct State {
    var taken: Set<PublicKey>
    /// Of the content that was taken, or found wrong.
    var judged: Look?
    var last: Look?
  }

  /// What tells one content of a file from the next without reading it.
  private struct Look: Equatable {
    var device: UInt
    var inode: UInt
    var size: Int
    var changed: [Int]

    /// Nil for a file that is not there, or a pipe, which can be read but once.
    init?(_ path: String) {
      var status = stat()
      guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
      (device, inode, size) = (status.st_dev, status.st_ino, Int(status.st_size))
      changed = [status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec]
    }
  }

  /// - Parameter own: the process's own key, which is let in too: whoever has it speaks for the process anyway, and its
  ///   page does.
  /// - Throws: `WireError.keyFile`, `.badAllowedKeys`.
  public init(_ path: String, own: PublicKey? = nil) throws(WireError) {
    self.path = path
    self.own = own
    let look = Look(path)
    let found = try AllowedKeys.read(path)
    keys = AllowedKeys(found.union(own.map { [$0] } ?? []))
    state = Mutex(State(taken: found, judged: look, last: look))
  }

  /// Looks at the file, and takes its keys if it changed.
  ///
  /// - Returns: how many keys came and went; nil if it is as it was, or still being written.
  /// - Throws: once for each change, `WireError.keyFile` or `.badAllowedKeys`: the keys taken before still count.
  public func refresh() throws(WireError) -> (added: Int, removed: Int)? {
    let look = Look(path)
    let isNew = state.withLock { state in
      defer { state.last = look }
      guard let look, look != state.judged, look == state.last else { return false }
      state.judged = look
      return true
    }
    guard isNew else { return nil }
    let found = try AllowedKeys.read(path)
    keys.replace(with: found.union(own.map { [$0] } ?? []))
    return state.withLock { state in
      defer { state.taken = found }
      return (found.subtracting(state.taken).count, state.taken.subtracting(found).count)
    }
  }
}
