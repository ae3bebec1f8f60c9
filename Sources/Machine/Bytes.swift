/// So many bytes, for people: "512 MiB", "1.4 GiB".
public struct Bytes: Sendable, CustomStringConvertible {
  private let count: Int

  public init(_ count: Int) { self.count = count }

  public var description: String {
    let units = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
    guard let (name, size) = units.first(where: { count >= $0.1 }) else { return "\(count) bytes" }
    // Rounded to a tenth, without one that is 0 or means nothing.
    let tenths = Int((Double(count) / Double(size) * 10).rounded())
    return tenths >= 1000 || tenths % 10 == 0 ? "\((tenths + 5) / 10) \(name)" : "\(tenths / 10).\(tenths % 10) \(name)"
  }
}
