import Printing

/// A line of a terminal: pieces of text, each in its style. What does not show in a text is escaped.
public struct ScreenLine: Sendable, Equatable {
  public enum Style: Sendable {
    case plain, title, faint, good, notable, bad
  }

  public struct Piece: Sendable, Equatable {
    public var text: String
    public var style: Style
  }

  public private(set) var pieces: [Piece] = []

  public init() {}

  public init(_ text: String, _ style: Style = .plain) { add(text, style) }

  public mutating func add(_ text: String, _ style: Style = .plain) {
    pieces.append(Piece(text: text.printable, style: style))
  }

  /// All of its text.
  public var text: String { pieces.map(\.text).joined() }

  /// Cut to so many columns; then its last one shows that there is more.
  public func cut(to columns: Int) -> ScreenLine {
    guard text.count > columns else { return self }
    var (cut, left) = (ScreenLine(), max(0, columns - 1))
    for piece in pieces where left > 0 {
      cut.pieces.append(Piece(text: String(piece.text.prefix(left)), style: piece.style))
      left -= min(left, piece.text.count)
    }
    if columns > 0 { cut.pieces.append(Piece(text: ">", style: .faint)) }
    return cut
  }
}
