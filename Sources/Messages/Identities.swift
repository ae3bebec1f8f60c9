import Numerics

/// 128 random bits that name a thing for as long as it lives, over all restarts of its processes.
///
/// `Thing` keeps the name of one kind of thing from standing for another's.
public struct Identity<Thing>: Hashable, Sendable {
  public let high: UInt64
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// From its form in files.
  public init(_ digest: Digest) { self.init(high: digest.high, low: digest.low) }
  public var digest: Digest { Digest(high: high, low: low) }
}

extension Identity: Comparable {
  public static func < (left: Self, right: Self) -> Bool { (left.high, left.low) < (right.high, right.low) }
}

extension Identity: CustomStringConvertible {
  /// 32 lower-case hexadecimal digits.
  public var description: String { digest.description }
}

/// What an `Identity` may name.
public enum Identified {
  public enum Run {}
  public enum Shard {}
}

/// One run of training, from its first start to its end; made with the run directory.
public typealias RunIdentity = Identity<Identified.Run>

/// A memory shard, which keeps it in its directory, with its rows.
public typealias ShardID = Identity<Identified.Shard>

/// One start of a coordinator on its run directory. Each start durably adds one before a word is sent,
/// so a message of an older incarnation is known by its number.
public struct Incarnation: Hashable, Comparable, Sendable {
  public let number: UInt64
  public init(_ number: UInt64) { self.number = number }
  public static func < (left: Incarnation, right: Incarnation) -> Bool { left.number < right.number }
}

/// A process that talks to the coordinator: 64 random bits of its own choosing.
public struct PeerID: Hashable, Sendable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

extension PeerID: CustomStringConvertible {
  /// Eight hexadecimal digits by which people tell peers apart. They are the first of a digest: whoever reads them in a
  /// log or a status cannot speak under the id.
  public var fingerprint: String {
    String(Digest(of: withUnsafeBytes(of: rawValue.bigEndian) { Array($0) }).description.prefix(8))
  }

  /// "peer 0123abcd", with its fingerprint.
  public var description: String { "peer \(fingerprint)" }
}

/// A lease, unique within an incarnation.
public struct LeaseID: Hashable, Comparable, Sendable {
  public let number: UInt64
  public init(_ number: UInt64) { self.number = number }
  public static func < (left: LeaseID, right: LeaseID) -> Bool { left.number < right.number }
}
