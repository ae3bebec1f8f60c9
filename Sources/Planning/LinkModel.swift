/// What crosses links.
public enum Traffic: String, Sendable, CaseIterable, Encodable {
  case weights, gradients, rows, extents, pictures
}

/// Bytes under way between machines, each with one link of one speed both ways. A link is shared evenly by what crosses
/// it, but for what the other end holds up (max-min fairness, which TCP comes near).
///
/// Machine 0 is the coordinator; then come the workers, then the shards.
struct LinkModel {
  struct Flow {
    let from: Int
    let to: Int
    let kind: Traffic
    /// Of what waits for it.
    let errand: Int
    var left: Double
    var rate = 0.0
  }

  private let machines: Int
  private let bytesPerSecond: Double
  private(set) var flows: [Flow] = []
  /// Whether all flows have their rates.
  private var isShared = true
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
  }

  mutating func add(_ bytes: Double, _ kind: Traffic, from: Int, to: Int, errand: Int) {
    flows.append(Flow(from: from, to: to, kind: kind, errand: errand, left: bytes))
    sent[from][kind, default: 0] += bytes
    received[to][kind, default: 0] += bytes
    isShared = false
  }

  /// Seconds until the next flow has arrived; nil if nothing is under way.
  mutating func untilNext() -> Double? {
    if !isShared { share() }
    return flows.lazy.map { $0.left / $0.rate }.min()
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

  /// Lets time pass, at most until the next flow has arrived.
  /// - Returns: the errands of those that have.
  mutating func pass(_ seconds: Double) -> [Int] {
    if !isShared { share() }
    var arrived: [Int] = []
    for index in flows.indices {
      let bytes = flows[index].rate * seconds
      flows[index].left -= bytes
      carriedOut[flows[index].from] += bytes / bytesPerSecond
      carriedIn[flows[index].to] += bytes / bytesPerSecond
      if flows[index].left < 0.5 { arrived.append(flows[index].errand) }
    }
    if !arrived.isEmpty {
      flows.removeAll { $0.left < 0.5 }
      isShared = false
    }
    return arrived
  }

  /// Gives every flow its rate: the link that leaves the least to each of its flows settles those, and so on.
  private mutating func share() {
    isShared = true
    // Links out are 0..<machines, links in follow.
    var room = [Double](repeating: bytesPerSecond, count: 2 * machines)
    var open = [Int](repeating: 0, count: 2 * machines)
    var unsettled = Array(flows.indices)
    for flow in flows {
      open[flow.from] += 1
      open[machines + flow.to] += 1
    }
    while !unsettled.isEmpty {
      var least = Double.infinity
      for link in room.indices where open[link] > 0 { least = min(least, room[link] / Double(open[link])) }
      let full = room.indices.map { open[$0] > 0 && room[$0] / Double(open[$0]) <= least * (1 + 1e-9) }
      var rest: [Int] = []
      var settled: [Int] = []
      for index in unsettled {
        if full[flows[index].from] || full[machines + flows[index].to] {
          settled.append(index)
        } else {
          rest.append(index)
        }
      }
      for index in settled {
        flows[index].rate = max(least, 1)
        for link in [flows[index].from, machines + flows[index].to] {
          room[link] = max(0, room[link] - least)
          open[link] -= 1
        }
      }
      unsettled = rest
    }
  }
}
