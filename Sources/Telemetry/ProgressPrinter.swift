/// Shows a run's progress on standard error: one line rewritten on a terminal; elsewhere a plain line for the first step,
/// then one at most every ten seconds, and one for the last.
///
/// Belongs to one thread; the console may be shared.
public struct ProgressPrinter {
  private let console: Console
  /// Seconds between two lines, at least.
  private let interval: Double
  private var lastTime: Double?
  private var lastStep: Int?

  public init(console: Console = .standardError) {
    self.console = console
    interval = console.isTerminal ? 0.1 : 10
  }

  /// Shows the state if it is time to.
  /// - Parameter time: in seconds, on a clock that does not go back.
  public mutating func show(_ state: ProgressState, at time: Double) {
    if let lastTime, time - lastTime < interval { return }
    lastTime = time
    print(state)
  }

  /// Shows the last state, however short ago another was shown, and leaves it standing.
  public mutating func finish(_ state: ProgressState) {
    if state.step != lastStep { print(state) }
    console.endProgress()
  }

  private mutating func print(_ state: ProgressState) {
    lastStep = state.step
    // A terminal's last column stays free: some wrap when it is written to. A log has no width.
    let width = console.isTerminal ? console.width - 1 : Int.max
    console.show(progress: ProgressLine.render(state, width: width))
  }
}
