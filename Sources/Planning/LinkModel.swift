/// What crosses links.
public enum Traffic: String, Sendable, CaseIterable, Encodable {
  case weights
  /// Payloads, and sums of gradients: what goes to the coordinator.
  case gradients
  /// Gradients on their way to who adds them up.
  case parts
  case rows, extents, pictures
}

/// Bytes under way between machines, each with one link of one speed both ways. A link is shared evenly by what crosses
/// it, but for what the other end holds up (max-min fairness, which TCP comes near).
///
/// Machine 0 is the coordinator; then come the workers, then the shards.
///
/// Where everybody fetches from everybody, what comes to one machine from a group of others is one flow, not one a pair:
/// the plan of a step takes time that grows with the machines, not with their square.
struct LinkModel {
  /// Who sends a flow.
  enum Source: Hashable {
    case machine(Int)
    /// All of a group at once, but for who receives it.
    case group(Int)
  }

  /// Machines that send together: each a part that goes by its weight.
  private struct Group {
    /// By machine; 0 for those that are not in it.
    let weights: [Double]
    let total: Double
    let members: [Int]
    /// Of its, under way: most groups are of a step that is over.
    var flows = 0
  }

  private struct Flow {
    let from: Source
    let to: Int
    /// Of what waits for it.
    let errand: Int
    /// It has the shares of so many: of one for each machine that sends.
    let lines: Double
    var left: Double
    var rate = 0.0
  }

  private let machines: Int
  private let bytesPerSecond: Double
  private var groups: [Group] = []
  private var flows: [Flow] = []
  /// Whether all flows have their rates.
  private var isShared = true
  /// Bytes a second on each link.
  private var carried: [Double]
  /// Bytes that have left each machine, and arrived at it, by kind.
  private(set) var sent: [[Traffic: Double]]
  private(set) var received: [[Traffic: Double]]
  /// Seconds in which a link carried as much as it can.
  private(set) var carriedOut: [Double]
  private(set) var carriedIn: [Double]

  init(machines: Int, bytesPerSecond: Double) {
    self.machines = machines
    self.bytesPerSecond = bytesPerSecond
    sent = Array(repeating: [:], count: machines)
    received = sent
    carriedOut = Array(repeating: 0, count: machines)
    carriedIn = carriedOut
    carried = Array(repeating: 0, count: 2 * machines)
  }

  /// Takes away what had been carried before.
  mutating func forget(_ before: LinkModel) {
    for machine in 0..<machines {
      sent[machine].merge(before.sent[machine]) { $0 - $1 }
      received[machine].merge(before.received[machine]) { $0 - $1 }
      carriedOut[machine] -= before.carriedOut[machine]
      carriedIn[machine] -= before.carriedIn[machine]
    }
  }
}

// MARK: - What is to be carried

extension LinkModel {
  /// Machines that are to send together, a machine's part by how often it is named.
  mutating func group(_ machines: some Sequence<Int>) -> Source {
    var weights = [Double](repeating: 0, count: self.machines)
    for machine in machines { weights[machine] += 1 }
    groups.append(
      Group(weights: weights, total: weights.reduce(0, +), members: weights.indices.filter { weights[$0] > 0 }))
    return .group(groups.count - 1)
  }

  /// The weight of all that send to a machine.
  func weight(of source: Source, to machine: Int) -> Double {
    switch source {
    case .machine: 1
    case .group(let id): groups[id].total - groups[id].weights[machine]
    }
  }

  mutating func add(_ bytes: Double, _ kind: Traffic, from: Source, to: Int, errand: Int) {
    var lines = 1.0
    switch from {
    case .machine(let machine): sent[machine][kind, default: 0] += bytes
    case .group(let id):
      groups[id].flows += 1
      let members = groups[id].members.filter { $0 != to }
      lines = Double(members.count)
      let unit = bytes / weight(of: from, to: to)
      for machine in members { sent[machine][kind, default: 0] += groups[id].weights[machine] * unit }
    }
    received[to][kind, default: 0] += bytes
    flows.append(Flow(from: from, to: to, errand: errand, lines: lines, left: bytes))
    isShared = false
  }
}

// MARK: - Time

extension LinkModel {
  /// Seconds until the next flow has arrived; nil if nothing is under way.
  mutating func untilNext() -> Double? {
    if !isShared { share() }
    return flows.lazy.map { $0.left / $0.rate }.min()
  }

  /// Lets time pass, at most until the next flow has arrived.
  /// - Returns: the errands of those that have.
  mutating func pass(_ seconds: Double) -> [Int] {
    guard !flows.isEmpty else { return [] }
    if !isShared { share() }
    for machine in 0..<machines {
      carriedOut[machine] += carried[machine] * seconds / bytesPerSecond
      carriedIn[machine] += carried[machines + machine] * seconds / bytesPerSecond
    }
    var arrived: [Int] = []
    for index in flows.indices {
      flows[index].left -= flows[index].rate * seconds
      guard flows[index].left < 0.5 else { continue }
      arrived.append(flows[index].errand)
      if case .group(let id) = flows[index].from { groups[id].flows -= 1 }
    }
    if !arrived.isEmpty {
      flows.removeAll { $0.left < 0.5 }
      isShared = false
    }
    return arrived
  }
}

// MARK: - Fairness

extension LinkModel {
  /// Gives every flow its rate: the link that leaves the least to each of its flows settles those, and so on.
  private mutating func share() {
    isShared = true
    var room = [Double](repeating: bytesPerSecond, count: 2 * machines)
    var unsettled = Array(flows.indices)
    while !unsettled.isEmpty {
      let lines = loads(of: unsettled, \.lines)
      var least = Double.infinity
      for link in room.indices where lines[link] > Self.rounding { least = min(least, room[link] / lines[link]) }
      let isFull = room.indices.map {
        lines[$0] > Self.rounding && room[$0] / lines[$0] <= least * (1 + Self.rounding)
      }
      let fullMembers = groups.map { group in group.flows > 0 ? group.members.count { isFull[$0] } : 0 }
      var (rest, settled): ([Int], [Int]) = ([], [])
      for index in unsettled {
        let flow = flows[index]
        let isHeldUp =
          switch flow.from {
          case .machine(let machine): isFull[machine]
          case .group(let id): fullMembers[id] > (groups[id].weights[flow.to] > 0 && isFull[flow.to] ? 1 : 0)
          }
        if isHeldUp || isFull[machines + flow.to] { settled.append(index) } else { rest.append(index) }
      }
      for index in settled { flows[index].rate = max(least, 1) * flows[index].lines }
      let taken = loads(of: settled, \.rate)
      for link in room.indices { room[link] = max(0, room[link] - taken[link]) }
      unsettled = rest
    }
    carried = loads(of: flows.indices, \.rate)
  }

  /// As a share: what sums of floats differ by.
  private static let rounding = 1e-9

  /// What flows put on each link: links out are 0..<machines, links in follow.
  private func loads(of indices: some Sequence<Int>, _ amount: (Flow) -> Double) -> [Double] {
    var loads = [Double](repeating: 0, count: 2 * machines)
    // By group: what each member has of it for a weight of 1.
    var units = [Double](repeating: 0, count: groups.count)
    for index in indices {
      let flow = flows[index]
      let amount = amount(flow)
      loads[machines + flow.to] += amount
      switch flow.from {
      case .machine(let machine): loads[machine] += amount
      case .group(let id):
        let unit = amount / weight(of: flow.from, to: flow.to)
        units[id] += unit
        loads[flow.to] -= groups[id].weights[flow.to] * unit
      }
    }
    for (group, unit) in zip(groups, units) where unit > 0 {
      for machine in group.members { loads[machine] += group.weights[machine] * unit }
    }
    return loads
  }
}
