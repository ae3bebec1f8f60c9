import Glibc

/// What this process may use of its machine: less than all of it in a container, a batch system's job or a service with
/// bounds.
///
///     let allowance = Allowance.current
///     startThreads(allowance.processors.usable)
public struct Allowance: Sendable, Equatable {
  public struct Share: Sendable, Equatable {
    /// At least 1.
    public let usable: Int
    public let machine: Int
    /// What bounds it: a file, or a word for people; nil where all of the machine may be used.
    public let bound: String?
  }

  /// Threads that run at once.
  public let processors: Share
  /// Bytes, of all processes that are bounded together.
  public let memory: Share

  /// As it is now; bounds may change while the process runs.
  public static var current: Allowance {
    Allowance(
      online: onlineProcessors, physicalMemory: sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE)),
      read: readSmallFile)
  }

  /// - Parameters:
  ///   - online: processors of the machine.
  ///   - physicalMemory: bytes.
  ///   - read: the text of a file; nil if it cannot be read.
  package init(online: Int, physicalMemory: Int, read: (String) -> String?) {
    let groups = ControlGroups(
      membership: read("/proc/self/cgroup") ?? "", mounts: read("/proc/self/mountinfo") ?? "")

    var usable = min(online, Self.affinity(read) ?? online)
    var bound = usable < online ? "its CPU affinity" : nil
    for (file, processors) in Self.processorQuotas(groups, read) where processors < usable {
      (usable, bound) = (processors, file)
    }
    processors = Share(usable: usable, machine: max(online, usable), bound: bound)

    var (bytes, file): (Int, String?) = (max(1, physicalMemory), nil)
    for (limit, most) in Self.memoryLimits(groups, read) where most < bytes { (bytes, file) = (most, limit) }
    memory = Share(usable: max(1, bytes), machine: max(1, physicalMemory), bound: file)
  }

  /// Says what is less than the machine; nil where nothing is.
  public var sentence: String? {
    var parts: [String] = []
    if let bound = processors.bound {
      parts.append("\(processors.usable) of the machine's \(processors.machine) processors (\(bound))")
    }
    if let bound = memory.bound {
      parts.append("\(Bytes(memory.usable)) of its \(Bytes(memory.machine)) of memory (\(bound))")
    }
    return parts.isEmpty ? nil : "This process may use \(parts.joined(separator: " and "))."
  }
}

// MARK: - Control groups

extension Allowance {
  /// Files, and the processors that their quota comes to: begun ones count, for else a part of the quota has no use.
  private static func processorQuotas(
    _ groups: ControlGroups, _ read: (String) -> String?
  ) -> [(file: String, processors: Int)] {
    let folders = groups.folders(of: "cpu")
    func quota(_ file: String, _ microseconds: some StringProtocol, _ period: some StringProtocol) -> (String, Int)? {
      // "max" and -1 are no bound.
      guard let quota = Int(microseconds), quota > 0, let period = Int(period), period > 0 else { return nil }
      return (file, quota / period + (quota % period > 0 ? 1 : 0))
    }
    let version2 = folders.version2.compactMap { folder in
      let words = read("\(folder)/cpu.max")?.split(whereSeparator: \.isWhitespace) ?? []
      return words.count == 2 ? quota("\(folder)/cpu.max", words[0], words[1]) : nil
    }
    let version1 = folders.version1.compactMap { folder in
      let words = ["quota", "period"].map { read("\(folder)/cpu.cfs_\($0)_us")?.firstWord ?? "" }
      return quota("\(folder)/cpu.cfs_quota_us", words[0], words[1])
    }
    return version2 + version1
  }

  /// Files, and the bytes that they allow.
  private static func memoryLimits(
    _ groups: ControlGroups, _ read: (String) -> String?
  ) -> [(file: String, bytes: Int)] {
    let folders = groups.folders(of: "memory")
    let files =
      folders.version2.map { "\($0)/memory.max" } + folders.version1.map { "\($0)/memory.limit_in_bytes" }
    return files.compactMap { file in
      guard let bytes = read(file)?.firstWord.flatMap({ Int($0) }), bytes >= 0 else { return nil }
      return (file, bytes)
    }
  }
}

// MARK: - Processes that were ended

/// How often the system ended a process because memory ran out.
public enum OutOfMemory {
  /// Ends so far that this process can see, of its control group and of the machine: a larger number than before means
  /// that there was one.
  public static var ends: Int { ends(read: readSmallFile) }

  package static func ends(read: (String) -> String?) -> Int {
    let groups = ControlGroups(
      membership: read("/proc/self/cgroup") ?? "", mounts: read("/proc/self/mountinfo") ?? "")
    let folders = groups.folders(of: "memory")
    let files =
      folders.version2.prefix(1).map { "\($0)/memory.events" }
      + folders.version1.prefix(1).map { "\($0)/memory.oom_control" } + ["/proc/vmstat"]
    return files.reduce(0) { total, file in
      let line = (read(file) ?? "").split(separator: "\n").first { $0.hasPrefix("oom_kill ") }
      return total + (line?.split(separator: " ").last.flatMap { Int($0) } ?? 0)
    }
  }
}

// MARK: - The system

extension Allowance {
  private static var onlineProcessors: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

  /// How many of the processors that are there a process may run on, by its affinity; nil if it does not say.
  private static func affinity(_ read: (String) -> String?) -> Int? {
    let status = read("/proc/self/status") ?? ""
    guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("Cpus_allowed_list:") }) else {
      return nil
    }
    let allowed = numbers(line.split(whereSeparator: \.isWhitespace).last ?? "")
    // Allowed may be some that are switched off.
    let online = numbers(read("/sys/devices/system/cpu/online")?.firstWord ?? "")
    let count = (online.isEmpty ? allowed : allowed.intersection(online)).count
    return count > 0 ? count : nil
  }

  /// More processors than any machine has.
  private static let processorsAtMost = 1 << 16

  /// The numbers of a list such as "0-3,8"; empty if it is none.
  private static func numbers(_ list: Substring) -> Set<Int> {
    var numbers = Set<Int>()
    for part in list.split(separator: ",") {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) ?? -1 }
      guard let first = ends.first, let last = ends.last, ends.count <= 2, first >= 0, first <= last,
        last < processorsAtMost
      else { return [] }
      numbers.formUnion(first...last)
    }
    return numbers
  }
}

extension String {
  fileprivate var firstWord: Substring? { split(whereSeparator: \.isWhitespace).first }
}

/// The text of a file of a few kilobytes, as those of /proc and of control groups are; nil if it cannot be read.
private func readSmallFile(_ path: String) -> String? {
  guard let file = fopen(path, "re") else { return nil }
  defer { fclose(file) }
  let bytes = [UInt8](unsafeUninitializedCapacity: 1 << 18) { buffer, count in
    count = fread(buffer.baseAddress!, 1, buffer.count, file)
  }
  return String(decoding: bytes, as: UTF8.self)
}
