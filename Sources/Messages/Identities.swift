import Numerics

/// One run of training, from its first start to its end, over all restarts: 16 random bytes made with the run directory.
public struct RunIdentity: Hashable, Sendable {
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

/// A memory shard: 128 random bits that it keeps in its directory, with its rows.
public struct ShardID: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let high: UInt64
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// From its form in files.
  public init(_ digest: Digest) { self.init(high: digest.high, low: digest.low) }
  public var digest: Digest { Digest(high: high, low: low) }

  public static func < (left: ShardID, right: ShardID) -> Bool { (left.high, left.low) < (right.high, right.low) }

  /// 32 lower-case hexadecimal digits.
  public var description: String { digest.description }
}
