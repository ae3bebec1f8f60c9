import Glibc

/// `count` floats in one piece of memory that starts at a cache line, zeroed when made.
///
/// A buffer has no shape; `vector(at:count:)` and `matrix(at:rows:columns:)` lend windows of it that have one.
/// Windows keep their buffer alive, so a window is never stale.
///
/// `@unchecked Sendable`: the memory is shared without a lock. Whoever hands a buffer to another thread either
/// stops writing to it (weight versions, gradients that were pushed) or splits it in ranges that do not overlap
/// (the update); nothing else may cross threads.
public final class FloatBuffer: @unchecked Sendable {
  /// Floats, not bytes; at least 1.
  public let count: Int
  let base: UnsafeMutablePointer<Float>
  /// 0 if the memory is the allocator's.
  private let mappedBytes: Int

  /// Cache lines, and the widest vector register, are 64 bytes.
  static let alignment = 64

  /// Bytes past the end that kernels may read, not write: eight floats from the last one on.
  static let padding = 32

  /// Bytes from which a buffer is pages of its own: zero without being written, and no memory until they are.
  static let mappedFrom = 4 << 20

  public init(count: Int) {
    invariant(count > 0, "a buffer of \(count) floats")
    self.count = count
    let used = count * MemoryLayout<Float>.stride + Self.padding
    let bytes = (used + Self.alignment - 1) / Self.alignment * Self.alignment
    mappedBytes = bytes >= Self.mappedFrom ? bytes : 0
    let memory = mappedBytes > 0 ? Self.mapped(bytes) : Self.allocated(bytes)
    guard let memory else { fatalError("out of memory: \(bytes) bytes for a buffer of \(count) floats") }
    base = memory.bindMemory(to: Float.self, capacity: count)
  }

  private static func allocated(_ bytes: Int) -> UnsafeMutableRawPointer? {
    guard let memory = aligned_alloc(alignment, bytes) else { return nil }
    memset(memory, 0, bytes)
    return memory
  }

  private static func mapped(_ bytes: Int) -> UnsafeMutableRawPointer? {
    let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    return memory == MAP_FAILED ? nil : memory
  }

  public convenience init(_ values: [Float]) {
    self.init(count: values.count)
    values.withUnsafeBufferPointer { base.update(from: $0.baseAddress!, count: count) }
  }

  deinit { if mappedBytes > 0 { munmap(base, mappedBytes) } else { free(base) } }
}

// MARK: - Windows

extension FloatBuffer {
  /// The whole buffer.
  public var vector: Vector { Vector(self, offset: 0, count: count) }

  public func vector(at offset: Int, count: Int) -> Vector { Vector(self, offset: offset, count: count) }

  /// - Parameter stride: floats from one row to the next; `columns` if nil.
  public func matrix(at offset: Int = 0, rows: Int, columns: Int, stride: Int? = nil) -> Matrix {
    Matrix(self, offset: offset, rows: rows, columns: columns, stride: stride ?? columns)
  }
}

// MARK: - Elements and bytes

extension FloatBuffer {
  /// One element; for set-up, tests and printing. Kernels take windows.
  public subscript(index: Int) -> Float {
    get {
      invariant(index >= 0 && index < count)
      return base[index]
    }
    set {
      invariant(index >= 0 && index < count)
      base[index] = newValue
    }
  }

  public var array: [Float] { Array(UnsafeBufferPointer(start: base, count: count)) }

  /// Lends the bytes of a range of floats, to be hashed, sent or written to a file.
  public func withBytes<Result>(
    of range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    invariant(range.lowerBound >= 0 && range.upperBound <= count)
    return try body(
      UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count * MemoryLayout<Float>.stride))
  }

  /// Lends the bytes of a range of floats, to be filled from a file or a peer.
  public func withMutableBytes<Result>(
    of range: Range<Int>, _ body: (UnsafeMutableRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    invariant(range.lowerBound >= 0 && range.upperBound <= count)
    return try body(
      UnsafeMutableRawBufferPointer(start: base + range.lowerBound, count: range.count * MemoryLayout<Float>.stride))
  }
}
