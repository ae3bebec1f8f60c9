/// Red, green and blue, 0...255 each.
public struct Colour: Equatable, Sendable {
  public let channels: SIMD3<UInt8>

  public init(_ red: UInt8, _ green: UInt8, _ blue: UInt8) { channels = [red, green, blue] }

  /// What sheets are drawn on, and written in.
  public static let paper = Colour(245, 246, 248)
  public static let ink = Colour(22, 25, 29)
  /// Of captions.
  public static let quiet = Colour(84, 91, 102)

  /// matplotlib's inferno: the darker the smaller a value is, also for who sees no colours.
  /// - Parameter value: 0...1.
  public static func heat(_ value: Float) -> Colour {
    let place = min(max(value, 0), 1) * Float(inferno.count - 1)
    let below = min(Int(place), inferno.count - 2)
    let share = place - Float(below)
    let mixed = (inferno[below] * (1 - share) + inferno[below + 1] * share).rounded(.toNearestOrEven)
    return Colour(UInt8(mixed.x), UInt8(mixed.y), UInt8(mixed.z))
  }

  /// At 0, 1/8, 2/8 and so on.
  private static let inferno: [SIMD3<Float>] = [
    [0, 0, 4], [31, 12, 72], [85, 15, 109], [136, 34, 106], [186, 54, 85], [227, 89, 51], [249, 140, 10],
    [249, 201, 50], [252, 255, 164],
  ]

  /// Colours that are told apart side by side, also by most who see few: Okabe's and Ito's.
  public static func distinct(_ index: Int) -> Colour { okabeIto[index % okabeIto.count] }

  private static let okabeIto = [
    Colour(0, 114, 178), Colour(213, 94, 0), Colour(0, 158, 115), Colour(204, 121, 167), Colour(230, 159, 0),
    Colour(86, 180, 233), Colour(128, 90, 20), Colour(110, 60, 180),
  ]
}
