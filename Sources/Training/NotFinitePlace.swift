import Networks
import Numerics

/// Where, in the order of computing, a slice's first value that is not finite appeared.
public struct NotFinitePlace: Hashable, Sendable, CustomStringConvertible {
  public enum Part: String, Sendable {
    /// Given to the slice: a network's weights, a memory block, a picture's views.
    case studentWeights = "the student's weights"
    case teacherWeights = "the teacher's weights"
    case memory = "the memory"
    case pixels = "the pixels"
    /// Computed by it.
    case teacher = "the teacher"
    case student = "the student"
    case loss = "the loss"
    case backward = "the student's gradient"
    /// All of the above is finite, but not what it adds up to.
    case parameterGradient = "the gradient of the weights"
  }

  public var part: Part
  /// A layer by the common name of its tensors, a tensor, a memory block, or a part of the loss.
  public var layer: String?
  /// 0 and 1 are the global views.
  public var view: Int?
  /// By its index in the data set.
  public var picture: Int?

  public init(part: Part, layer: String? = nil, view: Int? = nil, picture: Int? = nil) {
    (self.part, self.layer, self.view, self.picture) = (part, layer, view, picture)
  }

  public var description: String {
    ([part.rawValue, layer] + [view.map { "view \($0)" }, picture.map { "picture \($0)" }]).compactMap(\.self)
      .joined(separator: ", ")
  }
}

/// Watches a slice being computed, for the first value that is not finite.
final class NotFiniteWatch {
  private(set) var first: NotFinitePlace?
  /// Images a view.
  private let batch: Int
  /// The slice's pictures, by their index in the data set.
  private let pictures: [Int]
  /// Of the images that pass the networks now.
  var firstView = 0

  init(pictures: [Int]) {
    self.pictures = pictures
    batch = pictures.count
  }

  /// Notes a place, unless there was one before.
  func note(_ part: NotFinitePlace.Part, _ layer: String?, isFinite: Bool) {
    if first == nil, !isFinite { first = NotFinitePlace(part: part, layer: layer) }
  }

  /// Looks at values of images that pass the networks, n rows an image.
  func look(_ part: NotFinitePlace.Part, _ layer: String?, _ values: Factor, of images: [Int]) {
    guard first == nil, !images.isEmpty else { return }
    let rowsEach = values.rows / images.count
    guard let row = (0..<values.rows).first(where: { !isFinite(values, row: $0) }) else { return }
    let image = images[row / rowsEach]
    first = NotFinitePlace(
      part: part, layer: layer, view: firstView + image / batch, picture: pictures[image % batch])
  }

  func observer(_ forward: NotFinitePlace.Part) -> LayerObserver {
    { [self] shown in look(shown.isBackward ? .backward : forward, shown.layer, shown.values, of: shown.images) }
  }

  /// Looks at what a slice is given.
  func look(_ layout: ParameterLayout, student: FloatBuffer, teacher: FloatBuffer, blocks: [Factor]) {
    look(.studentWeights, layout.tensors, student)
    look(.teacherWeights, layout.tensors, teacher)
    for (index, block) in blocks.enumerated() {
      for row in 0..<block.rows {
        note(.memory, "block \(index), position \(row)", isFinite: isFinite(block, row: row))
      }
    }
  }

  /// Looks at a buffer tensor by tensor.
  func look(_ part: NotFinitePlace.Part, _ tensors: some Sequence<ParameterLayout.Tensor>, _ buffer: FloatBuffer) {
    for tensor in tensors {
      let values = buffer.vector(at: tensor.range.lowerBound, count: tensor.range.count)
      note(part, tensor.name, isFinite: isFinite(values))
    }
  }
}
