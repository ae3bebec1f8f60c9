import Foundation
import Printing

extension String {
  /// As text, or within quotes, of SVG and HTML: nothing in it is markup, and what does not show is escaped as on a
  /// terminal.
  public var markup: String {
    var text = ""
    for character in printable.unicodeScalars {
      switch character {
      case "&": text += "&amp;"
      case "<": text += "&lt;"
      case ">": text += "&gt;"
      case "\"": text += "&quot;"
      case "'": text += "&#39;"
      default: text.unicodeScalars.append(character)
      }
    }
    return text
  }
}

/// A coordinate: hundredths of a pixel are more than anybody sees.
func number(_ value: Double) -> String {
  let rounded = (value * 100).rounded() / 100
  return rounded == rounded.rounded() && abs(rounded) < 1e15 ? "\(Int(rounded))" : "\(rounded)"
}
