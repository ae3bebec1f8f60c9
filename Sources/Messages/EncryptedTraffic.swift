/// What encryption takes of a process.
public enum EncryptedTraffic {
  /// Bytes that one of its threads for input and output encrypts or decrypts in a second (`massl bench wire`).
  public static let bytesPerThread = 0.4e9
  /// So many fill a link of 10 Gbit/s both ways.
  private static let threadsAtMost = 6

  /// Threads for input and output of a process that may use so many processors.
  public static func threads(processors: Int) -> Int { max(1, min(threadsAtMost, processors)) }
}
