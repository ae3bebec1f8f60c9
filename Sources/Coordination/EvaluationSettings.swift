import Messages

/// When a step's teacher is judged, and by what.
public struct EvaluationSettings: Sendable {
  /// After every so many steps, and after the last.
  public var everySteps: Int
  /// Of the sample, ascending.
  public var pictures: [Int]
  /// The class of each, from 0; nil where a picture has none.
  public var classes: [Int?]
  /// Floats of a feature: no rank is above it.
  public var width: Int
  /// The newest step that was judged before this process.
  public var newest: Int

  public init(everySteps: Int, pictures: [Int], classes: [Int?], width: Int, newest: Int = 0) {
    self.everySteps = everySteps
    self.pictures = pictures
    self.classes = classes
    self.width = width
    self.newest = newest
  }
}

/// What a step's teacher came to, by a worker's word.
public struct Evaluation: Hashable, Sendable {
  public var step: Int
  public var figures: Evaluated.Figures
  /// Who said so.
  public var worker: PeerID
  /// From the question to the answer.
  public var duration: Duration
}
