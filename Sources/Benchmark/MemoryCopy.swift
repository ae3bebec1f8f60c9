import Numerics

/// A copy over all cores, in chunks as the update has them: what a pass over memory cannot be faster than.
enum MemoryCopy {
  /// - Parameter target: as long as `source`.
  static func run(_ source: FloatBuffer, into target: FloatBuffer) {
    let chunk = 1 << 18
    forEachChunk((source.count + chunk - 1) / chunk) { index in
      let first = index * chunk
      let count = min(chunk, source.count - first)
      copy(source.vector(at: first, count: count), into: target.vector(at: first, count: count))
    }
  }
}
