internal import CZeroMQ
import Glibc
import Messages
import Numerics

/// Raw bytes beside an envelope, in the memory that libzmq received them into: read in place, freed with this object.
///
/// `@unchecked Sendable`: once received it never changes, and closing it happens once, when nobody holds it.
public final class BulkFrame: @unchecked Sendable {
  let message: UnsafeMutablePointer<zmq_msg_t>

  init() {
    message = .allocate(capacity: 1)
    zmq_msg_init(message)
  }

  deinit {
    zmq_msg_close(message)
    message.deallocate()
  }

  /// Bytes.
  public var count: Int { zmq_msg_size(message) }

  /// Lends the bytes; they may begin at any address, so read numbers with `loadUnaligned` or copy them out.
  public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try body(UnsafeRawBufferPointer(start: zmq_msg_data(message), count: count))
  }

  public var bytes: [UInt8] { withBytes { Array($0) } }

  /// The bytes, as floats, into `buffer` from `offset` on.
  /// - Precondition: `count` is a multiple of 4, and the floats fit.
  public func copy(into buffer: FloatBuffer, at offset: Int) {
    let floats = count / MemoryLayout<Float>.stride
    invariant(floats * MemoryLayout<Float>.stride == count, "\(count) bytes are no floats")
    withBytes { bytes in
      buffer.withMutableBytes(of: offset..<(offset + floats)) { $0.copyMemory(from: bytes) }
    }
  }

  /// The sender's key as the authenticator gave it to libzmq.
  var userID: String? { zmq_msg_gets(message, "User-Id").map { String(cString: $0) } }

  /// The address of who sent it, in numbers.
  var peerAddress: String? { zmq_msg_gets(message, "Peer-Address").map { String(cString: $0) } }
}

/// Raw bytes to be sent beside an envelope; at most `WireLimits.bulkBytes`, at least one.
public enum Bulk: Sendable {
  /// These floats, sent from where they are: libzmq holds the buffer until they are gone, so nobody may write them.
  case floats(FloatBuffer, Range<Int>)
  /// So many bytes from the buffer's first on, sent from where they are, as floats are.
  case leading(FloatBuffer, bytes: Int)
  /// These bytes, copied once.
  case bytes([UInt8])

  public var count: Int {
    switch self {
    case .floats(_, let range): range.count * MemoryLayout<Float>.stride
    case .leading(_, let count): count
    case .bytes(let bytes): bytes.count
    }
  }
}

/// One frame on its way out; libzmq empties it when it takes it over.
final class OutgoingFrame {
  let message: UnsafeMutablePointer<zmq_msg_t>

  private init() { message = .allocate(capacity: 1) }

  deinit {
    zmq_msg_close(message)
    message.deallocate()
  }

  /// A frame of `count` bytes that `fill` writes.
  convenience init(count: Int, filledBy fill: (UnsafeMutableRawPointer) -> Void) {
    self.init()
    guard zmq_msg_init_size(message, count) == 0 else { fatalError("out of memory: a message of \(count) bytes") }
    fill(zmq_msg_data(message))
  }

  convenience init(bytes: [UInt8]) {
    self.init(count: bytes.count) { to in
      bytes.withUnsafeBytes { to.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    }
  }

  convenience init(_ envelope: Envelope) {
    self.init(bytes: envelope.encoded())
  }

  convenience init(_ bulk: Bulk) {
    invariant(bulk.count > 0 && bulk.count <= WireLimits.bulkBytes, "a bulk frame of \(bulk.count) bytes")
    switch bulk {
    case .bytes(let bytes): self.init(bytes: bytes)
    case .floats(let buffer, let range): self.init(lending: buffer, range, bytes: bulk.count)
    case .leading(let buffer, let count): self.init(lending: buffer, 0..<(count + 3) / 4, bytes: count)
    }
  }

  private convenience init(lending buffer: FloatBuffer, _ range: Range<Int>, bytes count: Int) {
    self.init()
    // The address outlives the closure because a FloatBuffer's memory never moves and the retained reference keeps it:
    // libzmq gives that back from its I/O thread, through the callback, when the last byte is gone.
    let held = Unmanaged.passRetained(buffer).toOpaque()
    let result = buffer.withBytes(of: range) { bytes in
      zmq_msg_init_data(
        message, UnsafeMutableRawPointer(mutating: bytes.baseAddress!), count,
        { _, held in Unmanaged<FloatBuffer>.fromOpaque(held!).release() }, held)
    }
    guard result == 0 else { fatalError("out of memory: a message's head") }
  }
}
