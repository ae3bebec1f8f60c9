import Messages
import Numerics

/// Whom a worker or a memory shard follows, and when it speaks unasked: hello until it is welcomed, then signs of life.
///
/// It follows the newest incarnation of the run that it heard of. What an older one says is dropped, for a coordinator
/// that should have ended may go on talking. Another run counts only once it refuses what was said, as the one that
/// answers at this address now.
public struct CoordinatorContact: Sendable {
  /// Who said something.
  public enum Speaker: Hashable, Sendable {
    /// Nobody whose word counts.
    case stranger
    /// The coordinator that is followed.
    case followed
    /// One that is followed from here on, instead of the one before: what that one gave is void.
    case successor
  }

  /// What is to be done unasked.
  public enum Duty: Hashable, Sendable {
    case sayHello
    /// A second went by with a coordinator that knows us.
    case showLife
    /// Nobody answered for as long as one was ready to wait.
    case giveUp
  }

  /// Where it is, for people.
  private let coordinator: String
  /// Silence after which it is given up; nil: never.
  private let givesUpAfter: Duration?
  private let peer: PeerID
  /// For people: what to do about an older incarnation that goes on talking.
  private let remedy: String
  private var backoff: HelloBackoff
  /// The newest incarnation heard of; nil until somebody spoke: then whoever does is it.
  private var followed: (run: RunIdentity, incarnation: Incarnation)?
  public private(set) var isWelcome = false
  private var lifeAt: Instant
  /// When people may be told again of an older incarnation.
  private var complainAt: Instant
  private var draws: RandomStream

  /// - Parameters:
  ///   - peer: who speaks; of its random bits hellos draw their pauses.
  ///   - coordinator: where it is, for people.
  ///   - followed: the newest incarnation that a process before this one followed, of the run that it still belongs to.
  ///   - remedy: for people: what to do about an older incarnation that goes on talking.
  ///   - givesUpAfter: silence after which it is given up; nil: never.
  public init(
    as peer: PeerID, to coordinator: String, following followed: (run: RunIdentity, incarnation: Incarnation)? = nil,
    remedy: String = "Stop that coordinator.", givesUpAfter: Duration?, at now: Instant
  ) {
    self.peer = peer
    self.coordinator = coordinator
    self.followed = followed
    self.remedy = remedy
    self.givesUpAfter = givesUpAfter
    backoff = HelloBackoff(at: now)
    lifeAt = now
    complainAt = now
    draws = RandomStream(RandomKey(seed: peer.rawValue, purpose: .hello))
  }

  /// On every word of this peer. Zeros until a coordinator was heard.
  public var sender: Sender {
    Sender(
      run: followed?.run ?? RunIdentity(high: 0, low: 0), incarnation: followed?.incarnation ?? Incarnation(0),
      peer: peer)
  }
}

// MARK: - What is heard

extension CoordinatorContact {
  /// Takes in that `sender` said something.
  /// - Parameter log: takes a line for people.
  public mutating func hear(
    _ message: CoordinatorMessage, from sender: Sender, at now: Instant, log: (LogLevel, String) -> Void
  ) -> Speaker {
    let speaker = speaker(message, sender)
    guard speaker != .stranger else {
      // A refusal is an answer: that coordinator is there now, and none of its words is merely late.
      if case .refusal = message, let line = complaint(of: sender, at: now) { log(.warning, line) }
      return .stranger
    }
    followed = (sender.run, sender.incarnation)
    backoff.heard(at: now)
    return speaker
  }

  private func speaker(_ message: CoordinatorMessage, _ sender: Sender) -> Speaker {
    guard let followed else { return .followed }
    if sender.run != followed.run {
      guard case .refusal(let refusal) = message, [.otherRun, .unknownPeer].contains(refusal.reason)
      else { return .stranger }
      return .successor
    }
    if sender.incarnation < followed.incarnation { return .stranger }
    return sender.incarnation == followed.incarnation ? .followed : .successor
  }

  private mutating func complaint(of sender: Sender, at now: Instant) -> String? {
    guard let followed, followed.run == sender.run, now >= complainAt else { return nil }
    complainAt = now + CoordinationLimits.complaint
    return "Incarnation \(sender.incarnation.number) of the run answers at \(coordinator), though "
      + "\(followed.incarnation.number) was started after it: it is not listened to. \(remedy)"
  }

  /// From now on signs of life are due, and no hello.
  public mutating func welcomed(at now: Instant) {
    isWelcome = true
    lifeAt = now + CoordinationLimits.heartbeat
  }

  /// The coordinator knows us, and we cannot work with it yet: the next hello waits its turn.
  public mutating func isNotReady() { isWelcome = false }

  /// The coordinator does not know us, or not any more: the next hello is due at once.
  public mutating func isUnknown(at now: Instant) {
    isWelcome = false
    backoff.begin(at: now)
  }

  /// The connection was lost, or none stood, so that the last word never left: as soon as it can be told, whoever answers
  /// next hears of us, for it may be another coordinator.
  public mutating func connectionLost(at now: Instant) {
    backoff.begin(at: now)
    lifeAt = now
  }
}

// MARK: - What is said unasked

extension CoordinatorContact {
  /// What is due now, in order; said to be done.
  /// - Parameter log: takes a line for people.
  public mutating func duties(at now: Instant, log: (LogLevel, String) -> Void) -> [Duty] {
    if let silence = backoff.complaint(at: now) {
      log(
        .warning,
        "No answer from the coordinator at \(coordinator) for \(silence.words); still trying.")
    }
    if let limit = givesUpAfter, backoff.silence(at: now) >= limit { return [.giveUp] }
    if isWelcome {
      guard now >= lifeAt else { return [] }
      lifeAt = now + CoordinationLimits.heartbeat
      return [.showLife]
    }
    return backoff.saysHello(at: now, random: draws.uniform()) ? [.sayHello] : []
  }
}
