import Durability
import Numerics

extension RowStore {
  /// Copies stored rows, by number and in the order given, as they are stored.
  /// - Parameter target: `numbers.count * layout.rowSize` bytes.
  /// - Throws: `MemoryBankError.notHeld` for a row that was pruned, is seeded or is yet to come, `.extentNotHeld` for one
  ///   that was released; `.damagedRow` if the file's bytes do not match their checksum; `DurabilityError`.
  public func read(_ numbers: [Int], into target: UnsafeMutableRawBufferPointer) throws {
    invariant(target.count == numbers.count * layout.rowSize, "\(target.count) bytes for \(numbers.count) rows")
    var fromFiles: [(place: Int, number: Int, file: any StorageFile)] = []
    try state.withLock { state in
      for (place, number) in numbers.enumerated() {
        guard number >= state.floor, number < state.rows else { throw notHeld(number, state) }
        if number >= state.cachedFrom {
          let start = place * layout.rowSize
          withPlace(of: number, state) {
            UnsafeMutableRawBufferPointer(rebasing: target[start..<(start + layout.rowSize)])
              .copyMemory(from: UnsafeRawBufferPointer($0))
          }
        } else {
          guard state.present.contains(layout.index(of: number)) else { throw notHeld(number, state) }
          fromFiles.append((place, number, try openFile(layout.index(of: number), &state)))
        }
      }
    }
    // Rows in files never change, so that these reads need no lock, and appending does not wait for the disk.
    try layout.read(fromFiles, into: target)
  }

  /// Which of these stored rows `read` would find here; the others were released.
  public func areHere(_ numbers: [Int]) -> [Bool] {
    state.withLock { state in
      numbers.map { $0 >= state.cachedFrom || state.present.contains(layout.index(of: $0)) }
    }
  }

  private func notHeld(_ number: Int, _ state: borrowing State) -> MemoryBankError {
    let oldest = state.present.min().map { $0 * layout.capacity } ?? state.rows
    let held = min(max(oldest, state.floor), state.rows)..<state.rows
    return held.contains(number)
      ? .extentNotHeld(directory: directory, row: number) : .notHeld(row: number, held: held)
  }
}
