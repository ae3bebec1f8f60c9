extension Duration {
  /// For people: seconds, cut to a decimal below ten of them and to whole ones from then on.
  package var words: String {
    let tenths = Int(self / .milliseconds(100))
    guard tenths < 100, tenths % 10 != 0 else { return "\(tenths / 10) s" }
    return "\(tenths / 10).\(tenths % 10) s"
  }
}
