import Numerics
import Slices

/// Which nodes of a step are audited.
///
/// There is one draw for the first lease that each host has in a step, one for its second, and so on: all hosts share them.
/// For a host that is as if each of its leases was drawn by itself. For the run audits come together. Where every thread has
/// a slice a second answer begins when the first ones end, so a step with one audit takes up to twice as long. With one
/// draw for each lease nearly every step of a thousand workers would be such a step.
struct AuditDraws: Sendable {
  /// By host: nodes that it had before any other.
  private var leased: [String: Int] = [:]
  /// By node: what was drawn. Leased again it is audited again, or again not.
  private var drawn: [SliceRange: Bool] = [:]

  /// Whether a node that is leased to a host of these is audited.
  mutating func fall(on node: SliceRange, of host: String, in step: Int, _ settings: AuditSettings) -> Bool {
    guard settings.rate > 0 else { return false }
    if let before = drawn[node] { return before }
    var stream = RandomStream(
      RandomKey(
        seed: settings.seed, purpose: .audit, step: UInt64(step), image: UInt64(leased[host, default: 0])))
    leased[host, default: 0] += 1
    let isAudited = stream.uniform() < settings.rate
    drawn[node] = isAudited
    return isAudited
  }
}
