import COpenBLAS

extension SymmetricMatrix {
  /// All eigenvalues, largest first, and an eigenvector of unit length for each; nil where an element is not finite.
  /// - Complexity: some 9 · size³ flops.
  public func eigenvectors() -> (values: [Double], vectors: [[Double]])? {
    var matrix: [Double] = []
    matrix.reserveCapacity(size * size)
    for row in 0..<size {
      for column in 0..<size { matrix.append(self[row, column]) }
    }
    guard matrix.allSatisfy(\.isFinite) else { return nil }
    _ = oneThreadACall
    // What LAPACK needs at least, and blocks of 64 columns.
    var (n, leading, room) = (Int32(size), Int32(size), Int32(1 + (6 + 64) * size + 2 * size * size))
    var integers = Int32(3 + 5 * size)
    var (found, code) = ([Double](repeating: 0, count: size), Int32(0))
    var work = [Double](repeating: 0, count: Int(room))
    var integerWork = [Int32](repeating: 0, count: Int(integers))
    dsyevd_("V", "L", &n, &matrix, &leading, &found, &work, &room, &integerWork, &integers, &code, 1, 1)
    guard code == 0 else { return nil }
    // Vectors are columns, which lie one after the other; the smallest value's is the first.
    let vectors = (0..<size).reversed().map { Array(matrix[$0 * size..<($0 + 1) * size]) }
    return (found.reversed(), vectors)
  }
}
