import Coordination
import Messages

/// The machines that a run is planned for, and what they are taken to do.
public struct Deployment: Sendable, Equatable {
  public var workers = 1
  /// Slices that a worker computes at once.
  public var threads = 1
  /// Memory shards; 0: the coordinator has the memory alone.
  public var shards = 0
  /// Of every machine's link, each way, on the wire.
  public var linkBitsPerSecond = 1e9
  /// Whether what crosses links is encrypted.
  public var isEncrypted = false
  /// Floating-point operations a second of a worker's sgemm, all its threads at it at once.
  public var sgemmPerSecond = 100e9
  /// The method's operations a second in a slice, as a share of sgemm's.
  public var efficiency = Self.usualEfficiency
  /// Bytes a second that any of the machines copies, read and written both counted.
  public var copyBytesPerSecond = 10e9
  /// RAM for memory rows, bytes.
  public var workerRowCache = 4 << 30
  public var coordinatorRowCache = 256 << 20
  /// Mean size of a picture that workers fetch from the coordinator; 0: they have the pictures.
  public var pictureBytes = 0

  public init() {}

  /// `massl bench step` and whole runs come to 0.87 to 0.98 with the recipes at hand; decoding and cropping take some of
  /// it where the network is small.
  public static let usualEfficiency = 0.85

  /// What of a link carries payload: 1,448 bytes of 1,538 that an Ethernet frame takes on the wire.
  static let payloadShare = 1448.0 / 1538

  /// Of a copy's speed, what the update's passes over weights come to (`massl bench update`).
  static let passShare = 0.65

  /// Payload bytes a second, each way. Encryption's threads have both ways to serve.
  var linkBytesPerSecond: Double {
    let link = linkBitsPerSecond / 8 * Self.payloadShare
    guard isEncrypted else { return link }
    return min(link, Double(EncryptedTraffic.threads(processors: threads)) * EncryptedTraffic.bytesPerThread / 2)
  }

  /// Seconds in which one thread hashes so many floats.
  func seconds(hashingFloats count: Double) -> Double { 4 * count * Exchange.secondsAByteHashed }

  /// Seconds to read or write so many floats.
  func seconds(passingFloats count: Double) -> Double {
    4 * count / (copyBytesPerSecond * Self.passShare)
  }
}
