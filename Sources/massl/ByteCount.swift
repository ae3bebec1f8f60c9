import ArgumentParser

/// So many bytes, as people write them: 0, 65536, 512MiB, 64GiB, 10TB.
package struct ByteCount: ExpressibleByArgument, Equatable, CustomStringConvertible {
  package let bytes: Int

  package init(_ bytes: Int) { self.bytes = bytes }

  private static let units: [(name: String, bytes: Int)] = [
    ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("kB", 1_000), ("KB", 1_000),
    ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000), ("B", 1),
  ]

  /// Nil if it is no whole number with a unit or none, or more than an integer holds.
  package init?(argument: String) {
    let digits = argument.prefix { $0.isASCII && $0.isNumber }
    let unit = argument.dropFirst(digits.count)
    guard let count = Int(digits), let size = unit.isEmpty ? 1 : Self.units.first(where: { $0.name == unit })?.bytes
    else { return nil }
    let (bytes, overflows) = count.multipliedReportingOverflow(by: size)
    guard !overflows else { return nil }
    self.bytes = bytes
  }

  /// In the largest unit that it is a whole number of.
  package var description: String {
    let unit = Self.units.prefix(4).last { bytes > 0 && bytes % $0.bytes == 0 }
    return unit.map { "\(bytes / $0.bytes)\($0.name)" } ?? "\(bytes)"
  }

  package var defaultValueDescription: String { description }
}
