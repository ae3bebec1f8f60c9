extension DataSet {
  /// The class of each picture: what tars say, or one folder of the root a class. Nil if there is neither.
  /// - Complexity: reads all paths.
  public var labels: Labels? {
    guard classNames.isEmpty else {
      var classes: [Int?] = []
      classes.reserveCapacity(count)
      table.forEach { classes.append($0.label) }
      return Labels(names: classNames, classes: classes, nested: 0)
    }
    let slash = UInt8(ascii: "/")
    var folders: [[UInt8]] = []  // of neighbours in the order of paths: each folder once
    var members: [Int?] = []
    members.reserveCapacity(count)
    var nested = 0
    table.forEach { entry in
      guard let end = entry.path.firstIndex(of: slash) else { return members.append(nil) }
      let folder = entry.path[..<end]
      if folders.last.map({ !$0.elementsEqual(folder) }) ?? true { folders.append(Array(folder)) }
      members.append(folders.count - 1)
      if entry.path.lastIndex(of: slash) != end { nested += 1 }
    }
    if folders.isEmpty { return nil }
    let order = folders.indices.sorted { folders[$0].lexicographicallyPrecedes(folders[$1]) }
    var place = [Int](repeating: 0, count: order.count)
    for (new, old) in order.enumerated() { place[old] = new }
    for index in members.indices { members[index] = members[index].map { place[$0] } }
    return Labels(
      names: order.map { String(decoding: folders[$0], as: UTF8.self) }, classes: members, nested: nested)
  }
}
