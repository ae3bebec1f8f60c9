import Coordination
import Messages
import Synchronization
import Threads
import Wire

/// Sees whether shards and workers answer at the addresses that they give out: each time over a connection of its own,
/// which ends with the answer, in a thread that does too.
final class Probes: Sendable {
  /// Who is there answers a request of anybody's at once, whatever it is; so does what is between, within this.
  private static let patience = Duration.seconds(3)
  /// At once. Whoever is asked for beyond them is asked for again by the state machine.
  private static let atOnce = 64

  private let context: Context
  private let sender: Sender
  private let security: Security<ClientKeys>
  private let underWay = Mutex(0)

  /// - Parameters:
  ///   - sender: whose run and incarnation are asked in the name of.
  ///   - security: towards whoever is asked; each has a public key of its own.
  init(context: Context, sender: Sender, security: Security<ClientKeys>) {
    self.context = context
    self.sender = sender
    self.security = security
  }

  /// - Parameter report: takes what came of it, in another thread.
  func begin(at address: BulkAddress, report: @escaping @Sendable (Event) -> Void) {
    let mayBegin = underWay.withLock { count in
      guard count < Self.atOnce else { return false }
      count += 1
      return true
    }
    guard mayBegin else { return }
    startThread(named: "massl-probe") { [self] in
      let failure = failure(at: address)
      underWay.withLock { $0 -= 1 }
      report(.probed(address, failure: failure))
    }
  }

  /// Nil if somebody answered.
  private func failure(at address: BulkAddress) -> String? {
    do {
      let client = try BulkClient(to: address, in: context, of: sender, security: security)
      defer { client.stop() }
      let answers = BulkClient.Answers(capacity: 1)
      client.send(.records(extent: 0, first: 0, count: 1), index: 0, to: answers)
      guard case .element((_, .success)) = answers.next(within: Self.patience) else {
        return "no answer within \(Self.patience.words)"
      }
      return nil
    } catch {
      return "\(error)"
    }
  }
}
