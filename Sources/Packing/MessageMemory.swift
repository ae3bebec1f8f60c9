import Glibc

/// The C structs of one protobuf message, and all that they point to, until it is packed.
///
/// Inlinable: each message that is sent passes here some ten times.
package final class MessageMemory {
  @usableFromInline var pieces: [UnsafeMutableRawPointer] = []

  @inlinable package init() {}

  @inlinable deinit { for piece in pieces { free(piece) } }

  /// - Parameter initialize: protobuf-c's own function for the type.
  @inlinable package func make<C>(
    _ type: C.Type, _ initialize: (UnsafeMutablePointer<C>?) -> Void
  ) -> UnsafeMutablePointer<C> {
    let c = allocate(MemoryLayout<C>.stride).bindMemory(to: type, capacity: 1)
    initialize(c)
    return c
  }

  @inlinable package func array<Element>(_ elements: [Element]) -> UnsafeMutablePointer<Element> {
    let array = allocate(elements.count * MemoryLayout<Element>.stride)
      .bindMemory(to: Element.self, capacity: max(elements.count, 1))
    array.initialize(from: elements, count: elements.count)
    return array
  }

  /// These bytes, and a NUL.
  package func text(_ utf8: some Sequence<UInt8>) -> UnsafeMutablePointer<CChar> {
    array(utf8.map { CChar(bitPattern: $0) } + [0])
  }

  @usableFromInline func allocate(_ bytes: Int) -> UnsafeMutableRawPointer {
    guard let piece = malloc(max(bytes, 1)) else { fatalError("out of memory: \(bytes) bytes for a message") }
    pieces.append(piece)
    return piece
  }
}
