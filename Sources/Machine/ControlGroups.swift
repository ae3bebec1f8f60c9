/// The control groups that a process is in: folders in which Linux keeps what the process and its like may use.
///
/// Version 2 has one tree for all controllers; version 1 one for each, and both may be mounted. A bound of any parent
/// holds too, so that the folders of a controller are the process's own and all above it that can be seen.
/// Source: cgroups(7), proc(5) on mountinfo.
struct ControlGroups {
  /// One tree, from where it is mounted down to the process's group.
  private struct Tree {
    /// Empty for version 2.
    let controllers: Set<Substring>
    let isVersion2: Bool
    let folders: [String]
  }

  private let trees: [Tree]

  /// - Parameters:
  ///   - membership: the text of /proc/self/cgroup.
  ///   - mounts: the text of /proc/self/mountinfo.
  init(membership: String, mounts: String) {
    trees = mounts.split(separator: "\n").compactMap { Self.tree(mountedBy: $0, membership) }
  }

  /// Folders that may bound what the controller shares out, the process's own group's first.
  /// - Parameter controller: its name in version 1: "cpu", "memory".
  func folders(of controller: String) -> (version1: [String], version2: [String]) {
    let version1 = trees.filter { $0.controllers.contains(Substring(controller)) }.flatMap(\.folders)
    return (version1, trees.filter(\.isVersion2).flatMap(\.folders))
  }

  /// The tree of a line of mountinfo; nil if it mounts none, or none that the process is in.
  private static func tree(mountedBy line: Substring, _ membership: String) -> Tree? {
    // "36 35 98:0 /root /mounted/at rw,noatime master:1 - cgroup cgroup rw,cpu": fields before the dash vary in number.
    let words = line.split(separator: " ")
    guard let dash = words.firstIndex(of: "-"), dash >= 6, dash + 3 < words.count else { return nil }
    let isVersion2 = words[dash + 1] == "cgroup2"
    guard isVersion2 || words[dash + 1] == "cgroup" else { return nil }
    let controllers = isVersion2 ? [] : Set(words[dash + 3].split(separator: ","))
    for group in membership.split(separator: "\n") {
      // "4:memory:/a/b", "0::/a/b"; a path may have colons.
      let parts = group.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      let names = Set(parts[1].split(separator: ","))
      guard isVersion2 ? names.isEmpty && parts[0] == "0" : !names.isDisjoint(with: controllers) else { continue }
      return Tree(
        controllers: controllers, isVersion2: isVersion2,
        folders: folders(of: String(parts[2]), root: unescaped(words[3]), mountedAt: unescaped(words[4])))
    }
    return nil
  }

  /// - Parameters:
  ///   - path: of the group, in its tree.
  ///   - root: what of the tree is mounted. A container may see its own part alone; then no more than that is known.
  private static func folders(of path: String, root: String, mountedAt mount: String) -> [String] {
    let top = root == "/" ? "" : root
    guard path == top || path.hasPrefix(top + "/"), !path.contains("/..") else { return [mount] }
    var names = path.dropFirst(top.count).split(separator: "/")
    var folders: [String] = []
    while !names.isEmpty {
      folders.append(mount + "/" + names.joined(separator: "/"))
      names.removeLast()
    }
    return folders + [mount]
  }

  /// Blanks and backslashes of a path are three octal digits in mountinfo.
  private static func unescaped(_ word: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = Array(word.utf8)[...]
    while let byte = rest.popFirst() {
      let digits = rest.prefix(3)
      if byte == UInt8(ascii: "\\"), digits.count == 3,
        let code = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
      {
        bytes.append(code)
        rest = rest.dropFirst(3)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
