import Dispatch

/// Work on chunks that do not depend on one another, over all cores.
///
/// What a chunk is must not follow from the number of cores: then neither do the bits.

/// Calls `body` once for each index in 0..<count, in no order, and returns when all have.
///
/// - Parameter body: writes nothing that another index reads or writes.
public func forEachChunk(_ count: Int, _ body: @Sendable (Int) -> Void) {
  if count < 2 {
    if count == 1 { body(0) }
    return
  }
  DispatchQueue.concurrentPerform(iterations: count, execute: body)
}

/// The results of `body` for each index in 0..<count, in the order of the indices.
///
/// - Parameter body: writes nothing that another index reads or writes.
public func mapChunks(_ count: Int, _ body: @Sendable (Int) -> Double) -> [Double] {
  var results = [Double](repeating: 0, count: count)
  results.withUnsafeMutableBufferPointer { results in
    // The closure may run on many threads at once, each in a slot of its own.
    nonisolated(unsafe) let results = results
    forEachChunk(count) { results[$0] = body($0) }
  }
  return results
}
