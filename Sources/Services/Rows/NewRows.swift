import Numerics

/// The rows that the update before a step appended to the memory, where a worker has all of them.
package struct NewRows: Sendable {
  let numbers: Range<Int>
  /// As they are stored, one after the other.
  let stored: FloatBuffer

  /// - Parameter stored: not written any more while this is used.
  package init(numbers: Range<Int>, stored: FloatBuffer) {
    self.numbers = numbers
    self.stored = stored
  }
}
