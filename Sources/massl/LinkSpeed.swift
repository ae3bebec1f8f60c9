import ArgumentParser
import Foundation

/// Bits a second, as people write them: 1Gbit, 100Mbit, 2.5Gbit.
package struct LinkSpeed: ExpressibleByArgument, Equatable, CustomStringConvertible {
  package let bitsPerSecond: Double

  package init(bitsPerSecond: Double) { self.bitsPerSecond = bitsPerSecond }

  private static let units: [(name: String, bits: Double)] = [
    ("kbit", 1e3), ("Mbit", 1e6), ("Gbit", 1e9), ("Tbit", 1e12),
  ]

  /// Nil if it is no number above 0 with a unit.
  package init?(argument: String) {
    guard let unit = Self.units.first(where: { argument.hasSuffix($0.name) }),
      let number = Double(argument.dropLast(unit.name.count)), number.isFinite, number > 0, number <= 1e6
    else { return nil }
    bitsPerSecond = number * unit.bits
  }

  /// In the largest unit of which it is one at least.
  package var description: String {
    let unit = Self.units.last { bitsPerSecond >= $0.bits } ?? Self.units[0]
    return String(format: "%g%@", bitsPerSecond / unit.bits, unit.name)
  }

  package var defaultValueDescription: String { description }
}
