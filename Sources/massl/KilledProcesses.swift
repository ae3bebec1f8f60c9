/// What the ends of processes by signal 9 mean: a person sends it, or the system, when memory runs out.
package struct KilledProcesses {
  /// A process that lived for longer, in seconds, had got somewhere.
  private static let patience = 600.0
  /// Ends for want of memory, one after the other, after which another start would end in the same way.
  private static let endsAtMost = 3

  private let need: String
  private var ends = 0
  private var hasAsked = false

  /// - Parameter need: what the processes need, what there is, and what to do, in sentences.
  package init(need: String) { self.need = need }

  /// - Parameters:
  ///   - signal: that ended a process; nil if it ended itself.
  ///   - seconds: since the process was started.
  ///   - lackedMemory: whether the system ended a process meanwhile because memory ran out.
  /// - Returns: what to say of it, empty if nothing, and whether starting another has no use.
  package mutating func end(
    bySignal signal: Int32?, after seconds: Double, lackedMemory: Bool
  ) -> (words: String, isHopeless: Bool) {
    guard signal == 9 else {
      ends = 0
      return ("", false)
    }
    guard lackedMemory else {
      // Whoever sends it again and again knows.
      defer { hasAsked = true }
      return (hasAsked ? "" : " If nobody sent that signal, memory ran out. \(need)", false)
    }
    ends = seconds < Self.patience ? ends + 1 : 1
    return (" Memory ran out, and the system ended it. \(need)", ends >= Self.endsAtMost)
  }
}
