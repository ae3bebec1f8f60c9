import Numerics

/// Judge the teacher of a step by these pictures. It is a lease like others, but no part of a step.
public struct Evaluate: Hashable, Sendable {
  public var lease: LeaseID
  public var step: Int
  /// Of the step's teacher.
  public var teacher: Digest
  /// Indices in the data set, ascending, at least one.
  public var pictures: [Int]
  /// The class of each, from 0; nil where a picture has none.
  public var classes: [Int?]

  public init(lease: LeaseID, step: Int, teacher: Digest, pictures: [Int], classes: [Int?]) {
    self.lease = lease
    self.step = step
    self.teacher = teacher
    self.pictures = pictures
    self.classes = classes
  }
}

/// What an evaluation came to: what a worker says, and nobody compares. No result of the run follows from it.
public struct Evaluated: Hashable, Sendable {
  public var lease: LeaseID
  public var figures: Figures

  public struct Figures: Hashable, Sendable {
    /// Pictures of the sample that could be used.
    public var pictures: Int
    public var rankMe: Double
    public var lidar: Double
    public var alphaReQ: Double
    /// Of leave-one-out k-NN: pictures that got their own class, of those that have one.
    public var right: Int
    public var asked: Int

    public init(pictures: Int, rankMe: Double, lidar: Double, alphaReQ: Double, right: Int, asked: Int) {
      (self.pictures, self.rankMe, self.lidar, self.alphaReQ) = (pictures, rankMe, lidar, alphaReQ)
      (self.right, self.asked) = (right, asked)
    }
  }

  public init(lease: LeaseID, figures: Figures) {
    self.lease = lease
    self.figures = figures
  }
}
