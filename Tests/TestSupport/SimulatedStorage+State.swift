import Durability
import Glibc

extension SimulatedStorage {
  /// The files and directories, with what of them would outlive a power cut.
  struct State: Sendable {
    struct File {
      enum Change {
        case write(offset: Int, bytes: [UInt8])
        case allocate(Int)
        case truncate
      }
      /// What a reader sees.
      var bytes: [UInt8] = []
      /// What a power cut leaves at the least.
      var durable: [UInt8] = []
      var pending: [Change] = []

      mutating func apply(_ change: Change) {
        Self.apply(change, to: &bytes)
        pending.append(change)
      }

      static func apply(_ change: Change, to bytes: inout [UInt8]) {
        func grow(to size: Int) {
          if bytes.count < size { bytes.append(contentsOf: repeatElement(0, count: size - bytes.count)) }
        }
        switch change {
        case .write(let offset, let written):
          grow(to: offset + written.count)
          bytes.replaceSubrange(offset..<(offset + written.count), with: written)
        case .allocate(let size): grow(to: size)
        case .truncate: bytes = []
        }
      }
    }

    struct Directory {
      var names: [String: Int] = [:]
      var durable: [String: Int] = [:]
      /// Each operation's names, with the node they now have, or nil if removed.
      var pending: [[(name: String, node: Int?)]] = []
    }

    enum Node {
      case file(File)
      case directory(Directory)
    }

    struct Holder { weak var lock: SimulatedLock? }

    static let root = 0
    var nodes: [Int: Node] = [root: .directory(Directory())]
    var nextNode = 1
    var locks: [String: Holder] = [:]
    /// The parts of paths met before, for cutting them takes longer than most calls.
    var split: [String: [String]] = [:]
    var operations = 0
    var life = 0
    var failure: (at: Int, number: Int32)?
    var powerCutAt: Int?
    /// Nil: as much as is wanted.
    var capacity: Int?

    mutating func begin(_ operation: DurabilityError.Operation, _ path: String, handle: Int?) throws {
      if let powerCutAt, operations >= powerCutAt { throw PowerCut() }
      if let handle, handle != life { throw PowerCut() }
      operations += 1
      if split[path] == nil { split[path] = parts(of: path) }
      if let failure, operations > failure.at {
        self.failure = nil
        throw DurabilityError.failed(operation: operation, path: path, number: failure.number)
      }
    }

    // MARK: Nodes

    mutating func insert(_ node: Node) -> Int {
      nodes[nextNode] = node
      nextNode += 1
      return nextNode - 1
    }

    func node(at path: String) throws -> Int {
      var node = Self.root
      for part in split[path] ?? parts(of: path) {
        guard case .directory(let directory)? = nodes[node], let next = directory.names[part] else {
          throw absence(.open, path)
        }
        node = next
      }
      return node
    }

    func directory(holding path: String, for operation: DurabilityError.Operation) throws -> Int {
      guard let node = try? node(at: parent(of: path)), case .directory? = nodes[node] else {
        throw absence(operation, path)
      }
      return node
    }

    mutating func change(_ directory: Int, _ names: [(String, Int?)]) {
      guard case .directory(var entries)? = nodes[directory] else { return }
      for (name, node) in names { entries.names[name] = node }
      entries.pending.append(names.map { (name: $0.0, node: $0.1) })
      nodes[directory] = .directory(entries)
    }

    /// Removes what is in a directory, name by name: a power cut may leave any of it.
    mutating func empty(_ node: Int) {
      guard case .directory(let directory)? = nodes[node] else { return }
      for (name, child) in directory.names.sorted(by: { $0.key < $1.key }) {
        empty(child)
        change(node, [(name, nil)])
      }
    }

    /// A file that is open keeps its node though its name is gone.
    func file(_ node: Int) -> File {
      guard case .file(let file)? = nodes[node] else { return File() }
      return file
    }

    func absence(_ operation: DurabilityError.Operation, _ path: String) -> DurabilityError {
      .failed(operation: operation, path: path, number: ENOENT)
    }

    /// Bytes of the files that have a name.
    var bytesInUse: Int {
      func bytes(under node: Int) -> Int {
        switch nodes[node] {
        case .file(let file): file.bytes.count
        case .directory(let directory): directory.names.values.reduce(0) { $0 + bytes(under: $1) }
        case nil: 0
        }
      }
      return bytes(under: Self.root)
    }

    // MARK: Restarts

    mutating func restart() {
      life += 1
      locks = [:]
      failure = nil
      powerCutAt = nil
    }

    mutating func losePower(_ random: inout SplitMix64) {
      for number in nodes.keys.sorted() {
        switch nodes[number]! {
        case .file(var file):
          for change in file.pending { State.losePart(of: change, to: &file.durable, &random) }
          (file.bytes, file.pending) = (file.durable, [])
          nodes[number] = .file(file)
        case .directory(var directory):
          for names in directory.pending where random.next() % 2 == 0 {
            for (name, node) in names { directory.durable[name] = node }
          }
          (directory.names, directory.pending) = (directory.durable, [])
          nodes[number] = .directory(directory)
        }
      }
    }

    private static func losePart(of change: File.Change, to bytes: inout [UInt8], _ random: inout SplitMix64) {
      switch (change, random.next() % 3) {
      case (_, 0): break
      case (.write(let offset, let written), 1) where written.count > 1:
        let kept = Int(random.next() % UInt64(written.count))
        File.apply(.write(offset: offset, bytes: Array(written[..<kept])), to: &bytes)
      default: File.apply(change, to: &bytes)
      }
    }
  }
}

func parts(of path: String) -> [String] {
  path.utf8.split(separator: UInt8(ascii: "/")).compactMap { String($0) }.filter { $0 != "." }
}
