internal import CProtobufC
import Glibc
import Numerics

/// Memory for unpacking one envelope, up to an allowance; past it protobuf-c is told that there is none left.
///
/// The number of bytes ever handed out counts, freed or not: an envelope within its limits stays far below.
final class UnpackAllowance {
  private final class Count {
    var left: Int
    init(left: Int) { self.left = left }
  }

  private let count: Count
  /// Lives as long as this object.
  let allocator: UnsafeMutablePointer<ProtobufCAllocator>

  init(bytes: Int) {
    count = Count(left: bytes)
    allocator = .allocate(capacity: 1)
    allocator.initialize(
      to: ProtobufCAllocator(
        alloc: { data, size in
          let count = Unmanaged<Count>.fromOpaque(data!).takeUnretainedValue()
          guard size <= count.left else { return nil }
          count.left -= size
          return malloc(size)
        },
        free: { _, memory in free(memory) },
        allocator_data: Unmanaged.passUnretained(count).toOpaque()))
  }

  deinit { allocator.deallocate() }
}
